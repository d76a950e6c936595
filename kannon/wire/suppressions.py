"""Suppression ⇄ its protobuf message in kannon.admin.v1.

In and out: kannon.mail.suppression.Suppression. An operator's entry has a cause, times and a note, and no event.
"""

from datetime import datetime

from kannon.errors import InvalidArgument
from kannon.mail.suppression import Cause, Suppression
from kannon.pb.admin.v1 import suppressions_pb2 as pb
from kannon.wire.events import timestamp
from kannon.wire.times import optional_time


def to_suppression(suppression: Suppression) -> pb.Suppression:
    return pb.Suppression(
        email=suppression.email,
        tag=suppression.tag,
        cause=suppression.cause.value,
        since=timestamp(suppression.since),
        expires_at=None if suppression.expires_at is None else timestamp(suppression.expires_at),
        note=suppression.note,
        event_id=suppression.event_id,
        message_id=suppression.message_id,
        delivery_id=suppression.delivery_id,
        code=suppression.code,
        enhanced_status=suppression.enhanced_status,
        text=suppression.text,
        host=suppression.host,
    )


def from_suppression(message: pb.Suppression, domain: str, now: datetime) -> Suppression:
    """Raises InvalidArgument with the field of the message."""
    return Suppression(
        domain=domain,
        email=message.email.strip(),
        tag=message.tag,
        cause=from_cause(message.cause) or Cause.MANUAL,
        since=optional_time(message, "since") or now,
        expires_at=optional_time(message, "expires_at"),
        note=message.note,
    )


def from_cause(text: str) -> Cause | None:
    """None where the request has none. Raises InvalidArgument."""
    if not text:
        return None
    try:
        return Cause(text)
    except ValueError:
        raise InvalidArgument("cause", f"is none of {', '.join(Cause)}") from None
