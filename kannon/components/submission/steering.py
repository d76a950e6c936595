"""A submitted message as a SendRequest. X-Kannon-… fields of its header steer the send, and are not passed on.

In: a message and the envelope's recipients. Out: a SendRequest of raw mail, or InvalidArgument that names the field.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kannon.errors import InvalidArgument
from kannon.mail.batch import Content, Recipient
from kannon.mail.raw.header import parse_fields, split_header, unfold
from kannon.mail.send_request import RawOptions, SendRequest
from kannon.mail.tracking import OFF, TrackingMode, TrackingPolicy

PREFIX = "x-kannon-"
TRACKING, SEND_AT, KEY, TAG = (f"{PREFIX}{name}" for name in ("tracking", "send-at", "idempotency-key", "tag"))
MAX_IDEMPOTENCY_KEY = 255
_MODES = {mode.name.lower(): mode for mode in TrackingMode if mode is not TrackingMode.UNSPECIFIED}


@dataclass(frozen=True, slots=True)
class SubmittedSource:
    """kannon.mail.send_request.Source."""

    message: bytes
    recipients: Sequence[str]

    def size(self) -> int:
        return len(self.message) + sum(map(len, self.recipients))

    def digest(self) -> bytes:
        digest = hashlib.sha256(b"kannon.submission\0" + "\n".join(self.recipients).encode() + b"\0")
        digest.update(self.message)
        return digest.digest()


def to_request(message: bytes, recipients: Sequence[str], *, smtputf8: bool, trace: bytes) -> SendRequest:
    values = _steering_fields(message)
    key = values.get(KEY, "")
    if len(key) > MAX_IDEMPOTENCY_KEY:
        raise InvalidArgument(KEY.title(), f"must not exceed {MAX_IDEMPOTENCY_KEY} characters")
    return SendRequest(
        content=Content(sender_email="", subject="", raw=message),
        recipients=[Recipient(email) for email in recipients],
        source=SubmittedSource(message, recipients),
        scheduled_at=_time(values[SEND_AT]) if SEND_AT in values else None,
        tracking=_policy(values[TRACKING]) if TRACKING in values else OFF,
        idempotency_key=key,
        raw=RawOptions(smtputf8=smtputf8, remove=frozenset(values), trace=trace),
        tag=values.get(TAG, ""),
    )


def _steering_fields(message: bytes) -> dict[str, str]:
    """By name in lower case."""
    header = split_header(message)[0]
    if b"x-kannon-" not in header.lower():
        return {}
    try:
        fields = [field for field in parse_fields(header) if field.name.startswith(PREFIX)]
    except ValueError as error:
        raise InvalidArgument("message", str(error)) from None
    values: dict[str, str] = {}
    for field in fields:
        if field.name not in (TRACKING, SEND_AT, KEY, TAG):
            raise InvalidArgument(field.name.title(), "is not a field that Kannon knows")
        if field.name in values:
            raise InvalidArgument(field.name.title(), "is there twice")
        values[field.name] = unfold(field.value)
    return values


def _policy(text: str) -> TrackingPolicy:
    mode = _MODES.get(text.lower())
    if mode is None:
        raise InvalidArgument(TRACKING.title(), f"is none of {', '.join(_MODES)}")
    return TrackingPolicy(mode, mode)


def _time(text: str) -> datetime:
    """RFC 3339: with an offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidArgument(SEND_AT.title(), "is not an RFC 3339 time, such as 2026-07-01T12:00:00Z")
    return at
