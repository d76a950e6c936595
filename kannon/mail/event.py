"""Events of a delivery, on the bus and in the statistics.

One flat value for all types; `kannon.wire.events` converts it to the protobuf `Stats` and back. The event id is the
deduplication key everywhere (Nats-Msg-Id, primary key of stats): the same event always has the same id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from kannon.mail.tracking import TrackingMode


class EventType(StrEnum):
    """As in Stats.type. The bus subject is kannon.stats.<SUBJECT>, which differs for opened and clicked."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    ERROR = "error"
    FAILED = "failed"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"


TERMINAL = frozenset({EventType.REJECTED, EventType.DELIVERED, EventType.BOUNCED, EventType.FAILED})
"""The outcomes: each delivery ends with exactly one of them."""

REPORT = "report"
"""The stage of an event from a report. Other events have a step of the delivery (kannon.mail.verdict.Stage)."""


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is aware UTC. `code` 0 means that there was no reply. `text` is the text of the reply, or the reason.

    All anonymous opens and clicks have one `email` (kannon.mail.message_id). `retry_after_seconds` is the delay that a
    deferring server requests (0: none). `tag` and `metadata` are the batch's: only a stored event has
    them.
    """

    event_id: str
    type: EventType
    domain: str
    message_id: str
    email: str
    at: datetime
    tracking_mode: TrackingMode = TrackingMode.UNSPECIFIED
    delivery_id: int = 0
    attempt: int = 0
    permanent: bool = False
    code: int = 0
    enhanced_status: str = ""
    text: str = ""
    stage: str = ""
    host: str = ""
    tls: str = ""
    retry_after_seconds: int = 0
    user_agent: str = ""
    ip: str = ""
    url: str = ""
    suspected_machine: bool = False
    tag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class HourlyCount:
    """The number of events of a type of a domain in the hour that begins at `hour` (aware UTC)."""

    type: EventType
    hour: datetime
    count: int


def delivery_event_id(delivery_id: int, attempt: int, event_type: EventType) -> str:
    """One id per delivery, attempt and type: a repeated publish is a duplicate, a second attempt a new event."""
    return f"{delivery_id}.{attempt}.{event_type}"
