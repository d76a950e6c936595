"""The operator's view of the queue: summaries of batches, and waiting deliveries.

kannon.db.inspect returns them, kannon.wire.operations converts them. Times are aware UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kannon.mail.delivery import State
from kannon.mail.event import EventType
from kannon.mail.pauses import Scope


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """`template_id` is None after the template's deletion; `paused`: the batch or its domain; `waiting_count`:
    deliveries without an outcome; `pause_reason`: the guard's."""

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
    tag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    pause_reason: str = ""


@dataclass(frozen=True, slots=True)
class EventCount:
    """The number of events of a type, the first and the last."""

    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """`events` counts the events within the retention time."""

    summary: BatchSummary
    waiting: Mapping[State, int]
    events: Mapping[EventType, EventCount]


@dataclass(frozen=True, slots=True)
class WaitingDelivery:
    """`next_attempt_at` is None for a paused or cancelled delivery; `last_…` describes the last failed attempt."""

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
