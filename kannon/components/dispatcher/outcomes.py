"""Settles deliveries by their outcomes, a page at a time.

In: delivered, bounced and error events of the senders, and bounces by report (kannon.bounce). Out: rows deleted, or
rescheduled within the retry budget. A row beyond its budget is deleted with a `bounced` event (a server has answered at
least once) or a `failed` event.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import structlog

from kannon.bus.events import read_events
from kannon.bus.settle import Message
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queue import Deferral, SendingDelivery, settlement
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.mail.retry import RetryBudget
from kannon.mail.verdict import NO_REQUIRETLS
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

TEXT_LIMIT = 1000
NO_SERVER = 550, "5.7.30"  # RFC 8689 §4.2.1: no server that may have the mail was found in time
SETTLED = 500  # rows of one transaction


class Publisher(Protocol):
    async def publish_events(self, events: Sequence[Event]) -> None: ...


class Metrics(Protocol):
    def gave_up(self, events: Sequence[Event]) -> None: ...


@dataclass(slots=True)
class _Decisions:
    finished: list[int] = field(default_factory=list)
    deferrals: dict[int, Deferral] = field(default_factory=dict)
    final_events: list[Event] = field(default_factory=list)


class Outcomes:
    """`handle_page` handles the pages of both consumers. It may be repeated for the same page."""

    def __init__(
        self,
        db: Database,
        bus: Publisher,
        *,
        budget: RetryBudget,
        chance: Callable[[], float],
        clock: Callable[[], datetime] | None = None,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        """`clock` None: PostgreSQL's clock, which also dates due deliveries."""
        self._db = db
        self._bus = bus
        self._budget = budget
        self._clock = clock
        self._chance = chance
        self._metrics = metrics

    async def handle_page(self, page: list[Message]) -> None:
        """Settles the rows of SETTLED events in one transaction each, then acks.

        Order of effects: final events are published (and acked by NATS), then rows are deleted, then the page is acked.
        A crash after the publish repeats it under the same ids; a crash before the ack finds the rows settled.
        """
        events, readable = await read_events(page)
        for first in range(0, len(events), SETTLED):
            await self._settle(events[first : first + SETTLED])
        for message in readable:
            await message.ack()

    @repeat_on_conflict
    async def _settle(self, events: Sequence[Event]) -> None:
        async with settlement(self._db) as rows:
            waiting = await rows.find(sorted({e.delivery_id for e in events}))
            decisions = self._decide(events, waiting)
            if decisions.final_events:
                await self._bus.publish_events(decisions.final_events)
            if decisions.finished:
                await rows.delete(decisions.finished)
            if decisions.deferrals:
                await rows.reschedule(list(decisions.deferrals.values()))
        if decisions.final_events:
            self._metrics.gave_up(decisions.final_events)

    def _decide(self, events: Sequence[Event], waiting: dict[int, SendingDelivery]) -> _Decisions:
        decisions = _Decisions()
        for event in events:
            row = waiting.get(event.delivery_id)
            if row is None:
                continue  # settled already: a redelivery, or a report about delivered mail
            if event.type is not EventType.ERROR:
                decisions.finished.append(row.id)
                decisions.deferrals.pop(row.id, None)
                del waiting[row.id]
            elif event.attempt > row.attempts:  # an event of an older attempt is a redelivery
                self._defer(event, row, decisions)
        return decisions

    def _defer(self, event: Event, row: SendingDelivery, decisions: _Decisions) -> None:
        next_attempt = self._budget.next_attempt(
            attempts=event.attempt,
            due_at=row.due_at,
            now=row.found_at if self._clock is None else self._clock(),
            chance=self._chance(),
            retry_after=event.retry_after_seconds,
        )
        if next_attempt is None:
            decisions.final_events.append(_final_event(event, row))
            decisions.finished.append(row.id)
            return
        decisions.deferrals[row.id] = Deferral(
            id=row.id,
            attempts=event.attempt,
            next_attempt_at=next_attempt,
            code=event.code,
            stage=event.stage,
            host=event.host,
            text=event.text[:TEXT_LIMIT],
        )


def _final_event(event: Event, row: SendingDelivery) -> Event:
    """Beyond the budget: bounced with the last code if a server has ever answered, else failed with the last reason.
    Mail that goes only with REQUIRETLS is bounced with the code for that."""
    if event.enhanced_status == NO_REQUIRETLS:
        event = replace(event, code=NO_SERVER[0], enhanced_status=NO_SERVER[1])
    answered = event.code >= 400  # a server out of step may answer 250 to a command that failed
    code, text = (event.code, event.text) if answered else (row.answer_code, row.answer_text)
    kind = EventType.BOUNCED if code else EventType.FAILED
    return Event(
        event_id=delivery_event_id(row.id, event.attempt, kind),
        type=kind,
        domain=row.domain,
        message_id=row.message_id,
        email=row.email,
        at=event.at,  # not the clock: after a crash the repeated event must equal the first one
        delivery_id=row.id,
        attempt=event.attempt,
        permanent=False,
        code=code,
        enhanced_status=event.enhanced_status if answered else "",
        text=text if code else f"gave up after {event.attempt} attempts: {event.text}",
        stage=event.stage,
        host=event.host,
    )
