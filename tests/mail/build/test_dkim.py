"""DKIM: bit for bit the signature of dkimpy, accepted by three verifiers, broken by every relevant addition."""

import base64
import hashlib
import re
from datetime import timedelta
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.batch import Attachment, Batch
from kannon.mail.build.dkim import ED25519_SHA256, OVERSIGNED, RSA_SHA256, DkimKey, DkimSigner, generate_dkim_key
from kannon.mail.build.template import BuildSettings, compile_batch
from kannon.mail.tracking import IDENTIFIED
from tests.support import mail
from tests.support.effort import examples
from tests.support.mail import DOMAIN, NOW, SELECTOR, batch, build, delivery, dkim_pair, dns_record, verifies
from tests.support.verifiers import mail_dkim, opendkim

RECORDS = {f"{SELECTOR}._domainkey.{DOMAIN}": dns_record().decode()}


def rich(subject: str = "Hi {{ name }}", html: str = "<p>Hi  {{ name }}\t.</p>\n\n   \n") -> Batch:
    return batch(
        html,
        subject=subject,
        alias="Müller, Anna",
        cc=("C <c@x.example>",),
        unsubscribe="https://x.example/u?e={{email}}",
        attachments=(Attachment("ü.pdf", b"%PDF" * 50), Attachment("logo.png", b"\x89PNG", content_id="logo")),
    )


def rich_mail(subject: str = "Hi {{ name }}", value: str = "Zoë  &\r\nCo. ") -> bytes:
    return build(rich(subject), delivery(fields={"name": value}, policy=IDENTIFIED)).body


def signature_tags(body: bytes) -> dict[bytes, bytes]:
    """Of the first signature, white space removed."""
    header = re.split(rb"\r\n(?![ \t])", body, maxsplit=1)[0]
    tags = re.sub(rb"\s+", b"", header.partition(b":")[2])
    return {name: value for name, _, value in (tag.partition(b"=") for tag in tags.split(b";"))}


def test_the_tags_of_the_signature() -> None:
    tags = signature_tags(rich_mail())
    assert tags[b"a"] == b"rsa-sha256"
    assert tags[b"c"] == b"relaxed/relaxed"
    assert tags[b"d"] == DOMAIN.encode()
    assert tags[b"s"] == SELECTOR.encode()
    assert not tags.keys() & {b"l", b"x"}
    listed = tags[b"h"].decode().split(":")
    present = {"from", "to", "cc", "subject", "date", "message-id", "mime-version", "content-type", "list-unsubscribe",
               "list-unsubscribe-post"}  # fmt: skip
    for name in OVERSIGNED:
        assert listed.count(name) == (2 if name in present else 1), name
    assert listed.count("x-pool-message-id") == 1


def signed_by_dkimpy(body: bytes, monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    """The tags of the signature dkimpy makes for the same message, fields and time."""
    tags = signature_tags(body)
    unsigned = re.split(rb"\r\n(?![ \t])", body, maxsplit=1)[1]
    key = load_pem_private_key(dkim_pair().private.encode(), None)
    pkcs1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    with monkeypatch.context() as patch:
        patch.setattr(dkim.time, "time", lambda: int(tags[b"t"]))
        header = dkim.sign(
            unsigned,
            SELECTOR.encode(),
            DOMAIN.encode(),
            pkcs1,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=tags[b"h"].split(b":"),
        )
    return signature_tags(header + b"X: y\r\n")


SUBJECTS = st.text(alphabet="ab \t,<>ü😀=?", min_size=1, max_size=100)
VALUES = st.text(alphabet="ab \t\r\n=.ü😀<", max_size=200)


@given(subject=SUBJECTS, value=VALUES)
@examples(10)
def test_every_tag_equals_that_of_dkimpy(subject: str, value: str) -> None:
    body = rich_mail(subject, value)
    with pytest.MonkeyPatch.context() as patch:
        assert signed_by_dkimpy(body, patch) == signature_tags(body)
    assert verifies(body)


SAMPLES = [
    rich_mail(),
    rich_mail(subject="x" * 300),
    rich_mail(subject="word " * 60),
    rich_mail(subject="ünï " * 60),
    rich_mail(value="  \t  \r\n" * 30),
    rich_mail(value=".\r\n.\r\nFrom me\r\n" + "y" * 2000),
    build(batch("")).body,
    build(batch("<p>x</p>" * 3000)).body,
]


def test_opendkim_accepts_a_sample(tmp_path: Path) -> None:
    altered = SAMPLES[0].replace(b"Date: Wed", b"Date: Thu", 1)
    assert altered != SAMPLES[0]
    assert opendkim([*SAMPLES, altered], RECORDS, tmp_path) == [True] * len(SAMPLES) + [False]


@pytest.mark.parametrize("body", SAMPLES, ids=range(len(SAMPLES)))
def test_mail_dkim_accepts_a_sample(body: bytes) -> None:
    assert mail_dkim(body, RECORDS) == ["rsa-sha256 pass"]


def test_mail_dkim_refuses_an_altered_one() -> None:
    (result,) = mail_dkim(SAMPLES[0].replace(b"Hi", b"Ho"), RECORDS)
    assert "pass" not in result


ADDITIONS = [
    b"From: evil@x.example",
    b"Subject: other",
    b"To: other@x.example",
    b"Cc: other@x.example",
    b"Date: Thu, 01 Jan 1970 00:00:00 +0000",
    b"Reply-To: evil@x.example",
    b"Message-ID: <x@y.example>",
    b"MIME-Version: 1.0",
    b"Content-Type: text/html",
    b"List-Unsubscribe: <https://evil.example/>",
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
]


@pytest.mark.parametrize("added", ADDITIONS)
@pytest.mark.parametrize("where", ["top", "bottom"])
def test_a_second_header_breaks_it(added: bytes, where: str) -> None:
    body = rich_mail()
    head, _, rest = body.partition(b"\r\n\r\n")
    new = added + b"\r\n" + body if where == "top" else head + b"\r\n" + added + b"\r\n\r\n" + rest
    assert verifies(body)
    assert not verifies(new)


@pytest.mark.parametrize("name", ["From", "Subject", "To", "List-Unsubscribe", "X-Pool-Message-Id", "Content-Type"])
def test_a_removed_header_breaks_it(name: str) -> None:
    body = rich_mail()
    cut = re.sub(rf"\r\n{name}:[^\r]*(\r\n[ \t][^\r]*)*".encode(), b"", body, count=1)
    assert cut != body
    assert not verifies(cut)


def test_permitted_changes_by_relays_do_not_break_it() -> None:
    body = rich_mail()
    relayed = b"Received: from a by b; Thu, 01 Jan 1970 00:00:00 +0000\r\n" + body
    refolded = re.sub(rb"\r\nSubject: (\S+)", rb"\r\nSUBJECT:   \1  ", relayed, count=1)
    assert refolded != relayed
    assert verifies(refolded)
    assert verifies(refolded + b"\r\n\r\n")
    assert not verifies(relayed + b"appended\r\n")


def test_a_second_key_makes_a_second_signature() -> None:
    body = build(rich(), delivery(), mail.settings(ed25519=True)).body
    records = RECORDS | {f"kannon-ed._domainkey.{DOMAIN}": dns_record(ED25519_SHA256).decode()}
    assert body.count(b"DKIM-Signature:") == 2
    assert verifies(body)
    rsa_result, ed_result = mail_dkim(body, records)
    assert rsa_result == "rsa-sha256 pass"
    # RFC 8463 is newer than some Mail::DKIM; to those the second signature must be no more than unknown.
    assert ed_result in ("ed25519-sha256 pass", "ed25519-sha256 invalid (unsupported algorithm ed25519-sha256)")
    second = body[body.index(b"DKIM-Signature:", 10) :]
    tags = signature_tags(second)
    assert tags[b"a"] == b"ed25519-sha256"
    assert tags[b"bh"] == signature_tags(body)[b"bh"]
    assert len(base64.b64decode(tags[b"b"])) == 64


def test_an_ed25519_signature_covers_the_hash_of_the_canonical_fields() -> None:
    """RFC 8463 §3, computed by hand."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    lines = [("from", b"from:Joe SixPack <joe@football.example.com>"), ("subject", b"subject:Is dinner ready?")]
    header = DkimSigner(DkimKey("brisbane", ED25519_SHA256, pem), "football.example.com").sign(lines, b"h" * 32, NOW)
    unsigned = header.partition(b": ")[2].partition(b" b=")[0] + b" b="
    data = b"".join(line + b"\r\n" for _, line in lines) + b"dkim-signature:" + unsigned.replace(b"\r\n ", b" ")
    signature = base64.b64decode(signature_tags(header + b"X: y\r\n")[b"b"])
    key.public_key().verify(signature, hashlib.sha256(data).digest())


@pytest.mark.parametrize("algorithm", [RSA_SHA256, ED25519_SHA256])
def test_new_keys(algorithm: str) -> None:
    private, public = generate_dkim_key(algorithm)
    DkimSigner(DkimKey("s", algorithm, private), DOMAIN)
    raw = base64.b64decode(public, validate=True)
    if algorithm == RSA_SHA256:
        key = load_der_public_key(raw)
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 2048
    else:
        assert len(raw) == 32


def test_keys_that_cannot_sign_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        generate_dkim_key("rsa-sha1")
    with pytest.raises(ValueError, match="algorithm"):
        DkimSigner(DkimKey("s", ED25519_SHA256, dkim_pair().private), DOMAIN)
    with pytest.raises(ValueError, match="no DKIM key"):
        compile_batch(batch(), BuildSettings((), mail.token_pair()[0], timedelta(1), b"x", timedelta(1)))
