"""Text of callers and recipients cannot add a header field, a command, a line or a message."""

import email
import itertools

import pytest

from kannon.mail.address import check_recipient
from kannon.mail.batch import Attachment
from kannon.mail.tracking import IDENTIFIED
from tests.support.mail import assert_fit_for_smtp, batch, build, delivery, parse, texts, verifies

LINE_ENDS = ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\0\r\n", "\u2028", "\x0b", "\x0c", "\x85"]
HEADERS = ["Bcc: evil@x.example", " folded", "\tfolded", "\r\n\r\n<script>", "Content-Type: text/evil", "--=_1", "."]
COMMANDS = ["RCPT TO:<evil@x.example>", ".\r\nMAIL FROM:<evil@x.example>", "QUIT", "DATA", "RSET\r\nEHLO x"]
PAYLOADS = [f"x{end}{text}" for end, text in itertools.product(LINE_ENDS, [*HEADERS, *COMMANDS])]

# RFC 5321 §4.1.1.4 ends a message with CRLF.CRLF only; lenient servers accept these too ("SMTP smuggling").
ENDINGS = [
    "\r\n.\r\n",
    "\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r\n.\n",
    "\r\n.\r",
    "\r.\r\n",
    "\n.\r",
    "\0\r\n.\r\n",
    "\r\n\0.\r\n",
]


def test_there_are_enough_payloads() -> None:
    assert len(set(PAYLOADS)) >= 100


def assert_one_plain_message(body: bytes) -> None:
    assert_fit_for_smtp(body)
    message = parse(body)
    reference = parse(build(batch(), delivery()).body)
    assert set(message.keys()) <= {*reference.keys(), "Cc", "List-Unsubscribe", "List-Unsubscribe-Post"}
    assert len(message.keys()) == len(set(message.keys()))
    assert verifies(body)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_leaves_its_header_or_parameter(payload: str) -> None:
    body = build(
        batch(
            "<p>{{ v }}</p>",
            subject=f"{payload} {{{{ v }}}}",
            alias=payload,
            unsubscribe="https://x.example/?{{ v }}",
            attachments=(
                Attachment(payload, b"x", content_type=f"text/plain; name={payload}"),
                Attachment("logo.png", b"x", content_id=payload),
            ),
        ),
        delivery(fields={"v": payload}, policy=IDENTIFIED),
    ).body
    assert_one_plain_message(body)
    for part in email.message_from_bytes(body).walk():
        assert "bcc" not in part
        assert part.get_content_type() != "text/evil"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_address_holds_one(payload: str) -> None:
    for address in (f"anna{payload}@reader.example", f"anna@reader.example{payload}", f'"{payload}"@reader.example'):
        assert check_recipient(address) is not None
        with pytest.raises(ValueError, match=r"."):
            build(batch(), delivery(address))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("smuggled", ["MAIL FROM:<evil@x.example>", "From: evil@x.example\r\n\r\nhello"])
def test_no_ending_ends_the_message(ending: str, smuggled: str) -> None:
    value = f"before{ending}{smuggled}{ending}after"
    body = build(
        batch(f"<p>{value}</p>{{{{{{ v }}}}}}", subject=value, alias=value), delivery(fields={"v": value})
    ).body
    assert_one_plain_message(body)
    # Dot-stuffed by RFC 5321 §4.5.2, it has no end of data for strict or lenient servers.
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    for end in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r\n", b"\n.\r", b"\r\n.\n", b"\r\n.\r"):
        assert end not in stuffed
    assert "before" in texts(body)[1]
    assert "after" in texts(body)[1]


@pytest.mark.parametrize("line", ["--=_", "=_", "--", "Content-Type: text/evil\n\n", "From ", "=", "=\n", "=3D=0D=0A"])
def test_no_body_line_ends_its_part(line: str) -> None:
    first = build(batch("x")).body
    boundary = first.split(b'boundary="')[1].split(b'"')[0].decode()
    html = f"\n--{boundary}\n\n{line}\n--{boundary}--\n{line}"
    assert texts(build(batch(html)).body)[1] == html
    body = build(batch("<b>{{{ v }}}</b>"), delivery(fields={"v": html})).body
    assert texts(body)[1] == f"<b>{html}</b>"


def test_an_attachment_holding_the_boundary_is_no_part() -> None:
    content = build(batch(attachments=(Attachment("a", b"x"),))).body
    body = build(batch(attachments=(Attachment("a", content),))).body
    (part,) = [part for part in parse(body).walk() if part.get_content_disposition() == "attachment"]
    assert part.get_payload(decode=True) == content
