"""Compiles a template once and fills in one mail per recipient.

In: `Content` and `BuildSettings`, plain data that may come from another process. Out: a `CompiledTemplate`, which
batches with equal content share, and its `fill` one signed `Envelope`. No clock and no randomness: the same delivery
at the same time yields the same mail, and a retry differs in Date and signature only.

Filling costs little compared with the RSA signature: literals are already quoted-printable and canonical for DKIM,
attachments are base64, and a mail is one join.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from kannon.mail.address import parse_address, parse_mailbox
from kannon.mail.batch import Batch, Content, Delivery, Engine
from kannon.mail.bounce.address import make_bounce_address
from kannon.mail.build.body import build_body
from kannon.mail.build.dkim import DkimKey, DkimSigner
from kannon.mail.build.headers import (
    Header,
    encode_field,
    encode_unstructured,
    format_date,
    format_mailbox,
    format_mailboxes,
    format_url,
    make_header,
)
from kannon.mail.build.jinja import JinjaTemplate
from kannon.mail.build.jinja_body import JinjaBody, JinjaTexts
from kannon.mail.build.mime import MimeSkeleton, build_skeleton
from kannon.mail.build.placeholders import fields_for, fill_plain, fill_url, split_placeholders
from kannon.mail.build.render import RenderContext
from kannon.mail.build.tracking_urls import BatchTracking, TrackingUrls
from kannon.mail.envelope import Envelope
from kannon.mail.message_id import issued_at, make_message_id
from kannon.mail.token import TokenKey, TokenSigner

_BYTES_PER_HTML = 8  # of memory: two texts, each on the wire and canonical
_BYTES_PER_ATTACHMENT = 3  # base64, on the wire and canonical
_ONE_CLICK = "List-Unsubscribe=One-Click"  # RFC 8058 §3.1


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """The builder's other input. An empty `base_url` is https://stats.<domain>. `bounce_ttl` is the retry window plus
    30 days. Each DKIM key makes one signature, in this order."""

    dkim_keys: tuple[DkimKey, ...]
    token_key: TokenKey
    token_ttl: timedelta
    bounce_secret: bytes
    bounce_ttl: timedelta
    base_url: str = ""
    autoescape: bool = True


def compile_batch(batch: Batch, settings: BuildSettings) -> "CompiledBatch":
    """Raises ValueError for an invalid sender or header address, and for missing or unusable keys."""
    return CompiledBatch(CompiledTemplate(batch.domain, batch.content, settings), batch.content.global_fields)


@dataclass(frozen=True, slots=True)
class CompiledBatch:
    """A compiled template with the global fields of one batch."""

    template: "CompiledTemplate"
    global_fields: Mapping[str, Any]

    def fill(self, delivery: Delivery, now: datetime) -> Envelope:
        return self.template.fill(delivery, self.global_fields, now)


class CompiledTemplate:
    """Serves all batches with this content, whatever their global fields. It has parsed keys and stays in its process;
    only its inputs can be pickled. Raises ValueError as `compile_batch` does."""

    def __init__(self, domain: str, content: Content, settings: BuildSettings) -> None:
        if not settings.dkim_keys:
            raise ValueError(f"no DKIM key for {domain}")
        self._domain = domain
        self._settings = settings
        self._require_tls = content.require_tls
        self._signers = [DkimSigner(key, domain) for key in settings.dkim_keys]
        self._tracking = batch_tracking(domain, settings)
        self._subject = split_placeholders(content.subject)
        self._unsubscribe = split_placeholders(content.unsubscribe_url) if content.unsubscribe_url else None
        self._own_unsubscribe = content.unsubscribe_url == ""
        self._extra = [(name, split_placeholders(value)) for name, value in content.header_fields]
        skeleton = build_skeleton(domain, content.attachments, has_html=bool(content.html) or not content.text)
        self._headers = _constant_headers(content, skeleton)
        self._jinja: JinjaTemplate | None = None
        if content.engine is Engine.JINJA:
            self._jinja = JinjaTemplate(html=content.html, text=content.text, subject=content.subject)
            self._jinja_body = JinjaBody(self._jinja, skeleton)
        else:
            self._body = build_body(content.html, content.text, skeleton, autoescape=settings.autoescape)
        self.bytes = (
            _BYTES_PER_HTML * (len(content.html) + len(content.text)) + _BYTES_PER_ATTACHMENT * content.attachment_bytes
        )

    def fill(self, delivery: Delivery, global_fields: Mapping[str, Any], now: datetime) -> Envelope:
        """One recipient's mail. Raises ValueError for an invalid address, which the validator filters out before, and
        for values that a jinja template cannot be rendered from."""
        return self.sign(delivery, self.render(delivery, global_fields), now)

    def render(self, delivery: Delivery, global_fields: Mapping[str, Any]) -> "Texts":
        """Call it for all deliveries of a page before `sign`: in turn with signatures, which push its code out of the
        processor's caches, a jinja template takes twice as long. Raises ValueError."""
        fields = fields_for(delivery.recipient.email, global_fields, delivery.recipient.fields)
        if self._jinja is None:
            return Texts(fields, None)
        fields = self._jinja.readable(fields)
        return Texts(fields, self._jinja_body.render(fields))

    def sign(self, delivery: Delivery, texts: "Texts", now: datetime) -> Envelope:
        """The mail of a delivery with its texts. Raises ValueError."""
        fields, jinja = texts
        address = parse_address(delivery.recipient.email)
        urls = TrackingUrls(self._tracking, delivery, now)
        context = RenderContext(fields, urls)
        wire, body_hash = self._body.fill(context) if jinja is None else self._jinja_body.fill(jinja, context)
        subject = fill_plain(self._subject, fields) if jinja is None else jinja.subject
        headers = self._fill_headers(str(address), subject, fields, urls, delivery, now)
        canonical = [(header.name, header.canonical) for header in headers]
        signatures = [signer.sign(canonical, body_hash, now) for signer in self._signers]
        mail = b"".join([*signatures, *[header.wire for header in headers], b"\r\n", *wire])
        return make_envelope(delivery, self._domain, self._settings, mail, now, require_tls=self._require_tls)

    def _fill_headers(
        self,
        recipient: str,
        subject: str,
        fields: dict[str, Any],
        urls: TrackingUrls,
        delivery: Delivery,
        now: datetime,
    ) -> list[Header]:
        """In the order of the mail; each field but the caller's own occurs once."""
        constant = self._headers
        headers = [
            make_header("Date", format_date(now)),
            constant["from"],
            *([constant["reply-to"]] if "reply-to" in constant else []),
            constant["to"] if "to" in constant else make_header("To", recipient),
            *([constant["cc"]] if "cc" in constant else []),
            make_header("Subject", encode_unstructured(subject, column=len("Subject: "))),
            make_header("Message-ID", f"<{make_message_id(delivery.secret, self._domain)}>"),
            make_header("X-Pool-Message-Id", delivery.message_id),
        ]
        url = urls.unsubscribe_url() if self._own_unsubscribe else None
        if self._unsubscribe is not None:
            url = fill_url(self._unsubscribe, fields)
        if url is not None:
            headers.append(make_header("List-Unsubscribe", format_url(url)))
            if url.startswith("https:"):  # RFC 8058 §3.1; a test server's own link is http
                headers.append(constant["list-unsubscribe-post"])
        for name, value in self._extra:
            headers.append(make_header(name, encode_field(fill_plain(value, fields), column=len(name) + 2)))
        return [*headers, constant["mime-version"], constant["content-type"]]


class Texts(NamedTuple):
    """What `render` makes for `sign`: the values of one mail, and if its engine is jinja, its texts."""

    fields: dict[str, Any]
    jinja: JinjaTexts | None


def batch_tracking(domain: str, settings: BuildSettings) -> BatchTracking:
    base_url = settings.base_url or f"https://stats.{domain}"
    return BatchTracking(TokenSigner(settings.token_key), base_url, domain, settings.token_ttl)


def make_envelope(
    delivery: Delivery, domain: str, settings: BuildSettings, mail: bytes, now: datetime, *, require_tls: bool
) -> Envelope:
    """`mail` is the signed mail, `domain` the tenant's."""
    expires = issued_at(delivery.due_at, now, settings.bounce_ttl) + settings.bounce_ttl
    return Envelope(
        delivery_id=delivery.id,
        message_id=delivery.message_id,
        domain=delivery.domain,
        mail_from=make_bounce_address(delivery.id, domain, settings.bounce_secret, expires),
        rcpt_to=delivery.recipient.email,
        body=mail,
        attempt=delivery.attempt,
        due_at=delivery.due_at,
        requeues=delivery.requeues,
        require_tls=require_tls,
    )


def _constant_headers(content: Content, skeleton: MimeSkeleton) -> dict[str, Header]:
    """By name in lower case."""
    headers = [
        make_header("From", format_mailbox(content.sender_alias, parse_address(content.sender_email))),
        make_header("List-Unsubscribe-Post", _ONE_CLICK),
        make_header("MIME-Version", "1.0"),
        make_header("Content-Type", skeleton.content_type),
    ]
    for name, shown in (("Reply-To", content.reply_to), ("To", content.header_to), ("Cc", content.header_cc)):
        if shown:
            headers.append(make_header(name, format_mailboxes([parse_mailbox(text) for text in shown])))
    return {header.name: header for header in headers}
