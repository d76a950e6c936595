"""Builds the mails of a raw message: signed, and otherwise byte for byte the caller's unless it is tracked.

In: `Content` with a raw message (kannon.mail.raw has checked and completed it). Out: as kannon.mail.build.template. The
mails of a batch that are not tracked are one text, which is hashed once, and signed once for each page.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from kannon.mail.address import parse_address
from kannon.mail.batch import Content, Delivery
from kannon.mail.build.body import Body
from kannon.mail.build.dkim import OVERSIGNED, DkimSigner
from kannon.mail.build.headers import relax_value
from kannon.mail.build.links import FlatTemplate, Pixel, find_pieces
from kannon.mail.build.render import RenderContext, html_parts
from kannon.mail.build.template import BuildSettings, batch_tracking, make_envelope
from kannon.mail.build.tracking_urls import TrackingUrls
from kannon.mail.envelope import Envelope
from kannon.mail.raw.header import Field, parse_fields, split_header
from kannon.mail.raw.rewrite import split_html
from kannon.mail.tracking import TrackingMode

_BYTES_PER_RAW = 4  # of memory: on the wire and canonical, twice where some deliveries are tracked
_UNTRACKED = (TrackingMode.OFF, TrackingMode.UNSPECIFIED)
# RFC 6376 §5.4.1: what a reader sees or acts on. Trace fields change on the way, and are not signed.
_SIGNED = frozenset(
    {
        *OVERSIGNED,
        *("sender", "in-reply-to", "references", "content-transfer-encoding", "content-disposition", "auto-submitted"),
        *("list-id", "list-help", "list-owner", "list-post", "list-subscribe", "list-archive", "feedback-id"),
    }
)


class _Form(NamedTuple):
    """The message as it is, or as it is tracked: fields to sign, the header on the wire, and the body."""

    fields: list[tuple[str, bytes]]
    header: bytes
    body: Body


class RawTemplate:
    """Serves all deliveries of a batch. Raises ValueError as CompiledTemplate does."""

    def __init__(self, domain: str, content: Content, settings: BuildSettings) -> None:
        if not settings.dkim_keys:
            raise ValueError(f"no DKIM key for {domain}")
        if not content.raw:
            raise ValueError("the message is gone")
        self._domain = domain
        self._settings = settings
        self._require_tls = content.require_tls
        self._signers = [DkimSigner(key, domain) for key in settings.dkim_keys]
        self._tracking = batch_tracking(domain, settings)
        self._message = content.raw
        header, body = split_header(content.raw)
        plain = Body()
        if body:
            plain.add_last_lines(body)
        self._plain = _Form(_signed(header), header + b"\r\n", plain)
        self._tracked: _Form | None = None
        self._last: tuple[datetime, bytes] | None = None
        self.bytes = _BYTES_PER_RAW * len(content.raw)

    def fill(self, delivery: Delivery, global_fields: Mapping[str, str], now: datetime) -> Envelope:
        """One recipient's mail. Raises ValueError for an invalid address, which the validator filters out before."""
        parse_address(delivery.recipient.email)
        tracking = delivery.recipient.tracking
        if tracking.opens in _UNTRACKED and tracking.links in _UNTRACKED:
            if self._last is None or self._last[0] != now:
                self._last = now, self._sign(self._plain, delivery, now)
            mail = self._last[1]
        else:
            if self._tracked is None:
                self._tracked = _tracked_form(self._message) or self._plain
            mail = self._sign(self._tracked, delivery, now)
        return make_envelope(delivery, self._domain, self._settings, mail, now, require_tls=self._require_tls)

    def _sign(self, form: _Form, delivery: Delivery, now: datetime) -> bytes:
        context = RenderContext({}, TrackingUrls(self._tracking, delivery, now))
        wire, body_hash = form.body.fill(context)
        signatures = [signer.sign(form.fields, body_hash, now) for signer in self._signers]
        return b"".join([*signatures, form.header, *wire])


def _signed(header: bytes) -> list[tuple[str, bytes]]:
    return [(field.name, _canonical(field)) for field in parse_fields(header) if field.name in _SIGNED]


def _canonical(field: Field) -> bytes:
    """RFC 6376 §3.4.2."""
    return f"{field.name}:".encode("ascii") + relax_value(field.value)


def _tracked_form(message: bytes) -> _Form | None:
    """None: the message is signed or encrypted, or has no HTML."""
    split = split_html(message)
    if split is None:
        return None
    header, start = split_header(split.parts[0][0])
    body = Body()
    for position, (before, html) in enumerate(split.parts):
        if lines := before if position else start:
            body.add_lines(lines)
        pieces = find_pieces(FlatTemplate([html]))
        body.add_text(html_parts([piece for piece in pieces if not (position and isinstance(piece, Pixel))]))
    body.add_last_lines(split.end or b"\r\n")
    return _Form(_signed(header), header + b"\r\n", body)
