"""Keys, batches and deliveries for tests of the mail builder, and the mail as a mail program parses it."""

import base64
import email
import email.policy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import lru_cache

import dkim

from kannon.mail.batch import Attachment, Batch, Content, Delivery, Recipient
from kannon.mail.build.dkim import ED25519_SHA256, RSA_SHA256, DkimKey, generate_dkim_key
from kannon.mail.build.template import BuildSettings, compile_batch
from kannon.mail.envelope import Envelope
from kannon.mail.token import TokenKey, TokenVerifier, generate_token_key
from kannon.mail.tracking import OFF, TrackingPolicy

DOMAIN = "news.example.com"
NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
MESSAGE_ID = f"msg_{'a1b2c3d4e5f6' * 2}@{DOMAIN}"
TEMPLATE_ID = f"template_{'a1b2c3d4e5f6' * 2}@{DOMAIN}"
SELECTOR = "kannon"
BOUNCE_SECRET = b"b" * 32
TOKEN_TTL = timedelta(days=90)


@dataclass(frozen=True)
class Pair:
    private: str
    public: str


def dkim_pair(algorithm: str = RSA_SHA256) -> Pair:
    return _pair(algorithm)


@lru_cache(maxsize=4)
def _pair(algorithm: str) -> Pair:
    return Pair(*generate_dkim_key(algorithm))


@lru_cache(maxsize=1)
def token_pair() -> tuple[TokenKey, str]:
    return generate_token_key()


@lru_cache(maxsize=1)
def token_verifier() -> TokenVerifier:
    return TokenVerifier(token_pair()[0].private_pem)


def settings(*, autoescape: bool = True, base_url: str = "", ed25519: bool = False) -> BuildSettings:
    keys = [DkimKey(SELECTOR, RSA_SHA256, dkim_pair().private)]
    if ed25519:
        keys.append(DkimKey("kannon-ed", ED25519_SHA256, dkim_pair(ED25519_SHA256).private))
    return BuildSettings(
        dkim_keys=tuple(keys),
        token_key=token_pair()[0],
        token_ttl=TOKEN_TTL,
        bounce_secret=BOUNCE_SECRET,
        bounce_ttl=timedelta(days=31),
        base_url=base_url,
        autoescape=autoescape,
    )


def batch(
    html: str = "<p>Hello</p>",
    *,
    subject: str = "Hello",
    alias: str = "",
    sender: str = f"sender@{DOMAIN}",
    to: tuple[str, ...] = (),
    cc: tuple[str, ...] = (),
    reply_to: tuple[str, ...] = (),
    fields: Mapping[str, str] | None = None,
    unsubscribe: str | None = None,
    attachments: tuple[Attachment, ...] = (),
) -> Batch:
    content = Content(
        sender_email=sender,
        sender_alias=alias,
        subject=subject,
        html=html,
        header_to=to,
        header_cc=cc,
        reply_to=reply_to,
        global_fields=fields or {},
        unsubscribe_url=unsubscribe,
        attachments=attachments,
    )
    return Batch(message_id=MESSAGE_ID, domain=DOMAIN, template_id=TEMPLATE_ID, content=content)


def delivery(
    address: str = "anna@reader.example",
    *,
    fields: Mapping[str, str] | None = None,
    policy: TrackingPolicy = OFF,
    secret: bytes = b"s" * 16,
    attempt: int = 1,
    delivery_id: int = 7,
    due_at: datetime = NOW,
) -> Delivery:
    recipient = Recipient(address, fields or {}, policy)
    return Delivery(delivery_id, MESSAGE_ID, DOMAIN, recipient, secret, attempt, due_at)


def build(of: Batch, to: Delivery | None = None, by: BuildSettings | None = None, now: datetime = NOW) -> Envelope:
    return compile_batch(of, by or settings()).fill(to or delivery(), now)


def parse(body: bytes) -> EmailMessage:
    """Parses with Python's own parser; any defect fails the test."""
    message = email.message_from_bytes(body, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects, part.defects
    return message


def texts(body: bytes) -> tuple[str, str]:
    """The text/plain and text/html parts, line ends as LF."""
    found: dict[str, str] = {}
    for part in parse(body).walk():
        if part.get_content_maintype() == "text" and part.get_content_disposition() is None:
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found[part.get_content_type()] = content.decode("utf-8")
    return found["text/plain"].replace("\r\n", "\n"), found["text/html"].replace("\r\n", "\n")


def html_of(html: str, fields: Mapping[str, str] | None = None, policy: TrackingPolicy = OFF) -> str:
    """The HTML part of a mail made from `html`."""
    return texts(build(batch(html), delivery(fields=fields, policy=policy)).body)[1]


def dns_record(algorithm: str = RSA_SHA256) -> bytes:
    kind = "rsa" if algorithm == RSA_SHA256 else "ed25519"
    return f"v=DKIM1; k={kind}; p={dkim_pair(algorithm).public}".encode("ascii")


def verifies(body: bytes) -> bool:
    """Verifies the first signature with dkimpy."""
    return bool(dkim.verify(body, dnsfunc=lambda name, timeout=5: dns_record()))


def assert_fit_for_smtp(body: bytes) -> None:
    """RFC 5321 §4.5.3.1.6, RFC 5322 §2.3: CRLF only, no line over 998 octets, and no NUL."""
    assert b"\0" not in body
    lines = body.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998


def decode_segment(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
