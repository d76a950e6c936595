"""Events: what happened to a delivery, as it travels on the bus and rests in the statistics.

One flat value for all types; `kannon.wire.events` turns it into the protobuf `Stats` and back. The event id is the
deduplication key everywhere (Nats-Msg-Id, stats primary key): the same happening always yields the same id.
"""

from dataclasses import dataclass
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


TERMINAL = frozenset({EventType.REJECTED, EventType.DELIVERED, EventType.BOUNCED, EventType.FAILED})
"""Types that end a delivery: each delivery has exactly one of them as its outcome."""

REPORT = "report"
"""The stage of what a report said; that of everything else is a step of our own (kannon.mail.verdict.Stage)."""


@dataclass(frozen=True, slots=True)
class Event:
    """`at` is aware UTC. `code` 0 means the remote gave no reply. `text` is the remote's words or the reason.

    Anonymous readers all have one `email` (kannon.mail.message_id). `retry_after_seconds` is what a deferring remote
    asked for (0: nothing).
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


@dataclass(frozen=True, slots=True)
class HourlyCount:
    """How many events of a type a domain had in the hour that begins at `hour` (aware UTC)."""

    type: EventType
    hour: datetime
    count: int


def delivery_event_id(delivery_id: int, attempt: int, event_type: EventType) -> str:
    """One id per delivery, attempt and type: a repeated publish is recognised, a second attempt is a new event."""
    return f"{delivery_id}.{attempt}.{event_type}"
