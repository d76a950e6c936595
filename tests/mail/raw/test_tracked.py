"""A raw message is signed and stays byte for byte; its HTML is rewritten where tracking is asked for."""

import base64
import email
import email.policy
import quopri
import re
from datetime import timedelta
from email.message import EmailMessage

import pytest

from kannon.mail.batch import Content, Delivery, Recipient
from kannon.mail.build.raw import RawTemplate
from kannon.mail.raw import prepare_raw
from kannon.mail.token import parse_token
from kannon.mail.token_claims import Channel, Claims
from kannon.mail.tracking import IDENTIFIED, OFF, TrackingPolicy
from tests.support.mail import DOMAIN, MESSAGE_ID, NOW, settings, token_verifier, verifies

HTML = '<p>Grüße <a href="https://example.org/?a=1&amp;b=ü">x</a> {{ name }}</p>\r\n</body>\r\n\r\n'
HEAD = f"From: a@{DOMAIN}\r\nTo: b@example.org\r\nSubject: Hi\r\nMIME-Version: 1.0\r\n".encode()


def built(message: bytes, tracking: TrackingPolicy, number: int = 1) -> tuple[bytes, bytes]:
    """The message as prepared, and the mail."""
    raw = prepare_raw(message, DOMAIN, NOW, f"x@{DOMAIN}").content
    template = RawTemplate(DOMAIN, Content(sender_email=f"a@{DOMAIN}", subject="Hi", raw=raw), settings(ed25519=True))
    recipient = Recipient(f"r{number}@example.org", {}, tracking)
    delivery = Delivery(number, MESSAGE_ID, DOMAIN, recipient, b"s" * 16, 1, NOW)
    first = template.fill(delivery, {}, NOW).body
    assert template.fill(delivery, {}, NOW).body == first
    assert template.fill(delivery, {}, NOW + timedelta(seconds=5)).body != first
    return raw, first


def claims(token: str, channel: Channel) -> Claims:
    parsed = parse_token(token)
    assert parsed is not None
    found = token_verifier().verify(parsed, channel, NOW)
    assert found is not None
    return found


def unsigned(mail: bytes) -> bytes:
    return re.sub(rb"\A(?:DKIM-Signature:(?:[^\r\n]|\r\n[ \t])*\r\n)+", b"", mail)


def encode(text: str, charset: str, encoding: str) -> bytes:
    data = text.encode(charset)
    match encoding:
        case "base64":
            return base64.encodebytes(data).replace(b"\n", b"\r\n")
        case "quoted-printable":
            return quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        case _:
            return data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"Hi\r\n",
        b"Hi",
        b"Hi  there \t\r\n\r\n\r\n",
        b".\r\n..\r\n",
        b"\r\n\r\n",
        b"Gr\xc3\xbc\xc3\x9fe\r\n",
    ],
)
def test_without_tracking_a_message_is_signed_and_stays_as_it_is(body: bytes) -> None:
    raw, mail = built(HEAD + b"\r\n" + body, OFF)
    assert unsigned(mail) == raw
    assert raw.endswith(b"\r\n\r\n" + body) or not body.endswith(b"\r\n")
    assert verifies(mail)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "base64", "quoted-printable", ""])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
def test_links_are_tracked_in_every_encoding(charset: str, encoding: str, nested: bool) -> None:
    field = f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else ""
    part = f'{field}content-type: text/html;\r\n\tcharset="{charset}"\r\n\r\n'.encode() + encode(
        HTML, charset, encoding
    )
    if nested:
        plain = b"--in\r\nContent-Type: text/plain\r\n\r\nhttps://example.org/ stays \r\n"
        part = (
            b'Content-Type: multipart/mixed; boundary="out"\r\n\r\npreamble\r\n--out\r\n'
            b"Content-Type: multipart/alternative; boundary=in\r\n\r\n" + plain + b"--in\r\n" + part + b"\r\n--in--\r\n"
            b"--out\r\nContent-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n"
            b'<a href="https://example.org/">stays</a>\r\n--out--\r\nepilogue\r\n\r\n'
        )
    raw, mail = built(HEAD + part, IDENTIFIED)
    assert verifies(mail)
    parsed = email.message_from_bytes(mail, EmailMessage, policy=email.policy.default)
    html = parsed.get_body(("html",))
    assert html is not None
    text = html.get_content()
    assert text.startswith("<p>Grüße <a href=")
    assert "{{ name }}</p>" in text  # a raw message has no placeholders
    [link] = re.findall(r'href="https://stats\.[^/]*/c/([^"]*)"', text)
    [pixel] = re.findall(r'src="https://stats\.[^/]*/o/([^"]*)"[^>]*>\s*</body>', text)
    assert claims(link, Channel.CLICK).url == "https://example.org/?a=1&b=ü"
    assert claims(pixel, Channel.OPEN).email == "r1@example.org"
    assert b"\r\n".join(raw.split(b"\r\n")[:4]) in mail
    if nested:
        assert b"https://example.org/ stays \r\n" in mail
        assert b'<a href="https://example.org/">stays</a>\r\n--out--\r\nepilogue\r\n\r\n' in mail


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Type: multipart/signed; boundary="b"; protocol="application/pkcs7-signature"; micalg=sha-256\r\n',
        b'Content-Type: multipart/encrypted; boundary="b"; protocol="application/pgp-encrypted"\r\n',
        b"Content-Type: multipart/mixed; boundary=b\r\nDKIM-Signature: v=1; d=other.example\r\n",
    ],
)
def test_a_signed_or_encrypted_message_is_never_touched(head: bytes) -> None:
    html = b'--b\r\nContent-Type: text/html\r\n\r\n<a href="https://example.org/">x</a>\r\n--b--\r\n'
    raw, mail = built(HEAD + head + b"\r\n" + html, IDENTIFIED)
    assert unsigned(mail).endswith(raw[raw.index(b"From:") :])
    assert b"/c/" not in mail
    inside = HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + head + b"\r\n" + html + b"--o--\r\n"
    if b"DKIM" not in head:
        assert b"/c/" not in built(inside, IDENTIFIED)[1]


@pytest.mark.parametrize(
    "message",
    [
        HEAD + b"Content-Type: text/html; charset=no-such\r\n\r\n<a href='https://example.org'>\r\n",
        HEAD + b"Content-Type: text/html\r\n\r\n<a href='https://example.org'>\xff\r\n",
        HEAD + b"Content-Type: text/html\r\nContent-Transfer-Encoding: x-uue\r\n\r\n<a href='https://example.org'>\r\n",
        HEAD + b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n<<<<\r\n",
        HEAD + b"Content-Type: text/html\r\n\r\n\r\n\r\n",
        HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\nno delimiter\r\n',
        HEAD + b"Content-Type: multipart/mixed\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<a href='https://a.b'>\r\n",
        HEAD + b"Content-Type: text/plain\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n",
    ],
)
def test_what_cannot_be_decoded_stays_as_it_is(message: bytes) -> None:
    raw, mail = built(message, IDENTIFIED)
    assert unsigned(mail) == raw
    assert verifies(mail)


def test_deeply_nested_parts_cost_little() -> None:
    inner = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000))
    raw, mail = built(HEAD + inner, IDENTIFIED)
    assert unsigned(mail) == raw
