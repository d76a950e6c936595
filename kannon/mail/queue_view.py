"""What an operator sees of mail under way: a batch in short, and a delivery that waits.

Out of kannon.db.inspect and into kannon.wire.operations. Times are aware UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kannon.mail.delivery import State
from kannon.mail.event import EventType
from kannon.mail.pauses import Scope


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """`template_id` is None where the template was deleted since; `paused`: itself or its domain; `waiting_count`:
    deliveries without an outcome."""

    message_id: str
    domain: str
    template_id: str | None
    subject: str
    sender_email: str
    created_at: datetime
    scheduled_at: datetime
    accepted_count: int
    rejected_count: int
    paused: bool
    cancelled_at: datetime | None
    waiting_count: int


@dataclass(frozen=True, slots=True)
class EventCount:
    """How often, and when first and last."""

    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """`events` counts what is still kept."""

    summary: BatchSummary
    waiting: Mapping[State, int]
    events: Mapping[EventType, EventCount]


@dataclass(frozen=True, slots=True)
class WaitingDelivery:
    """`next_attempt_at` is None where a pause has put it aside, or it is cancelled; `last_…` is of the last failed
    attempt."""

    id: int
    message_id: str
    domain: str
    email: str
    state: State
    due_at: datetime
    next_attempt_at: datetime | None
    attempts: int
    last_code: int
    last_stage: str
    last_host: str
    last_text: str
    cancelled_at: datetime | None
    paused_by: tuple[Scope, ...]
