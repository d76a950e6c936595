"""Finishes what an operator has begun: cancelled deliveries are ended, what an ended pause had put aside is released.

In: marked rows, page by page; ended pauses. Out: kannon.stats.failed with reason "cancelled", and rows that are due.
Order of effects of a cancellation: the mark is committed by whoever cancels, the event is published (acknowledged), the
row deleted. A crash after the publish leaves a row that nobody sends any more; it is found again here, by any process,
and its event is the same one.
"""

from collections.abc import Sequence
from typing import Protocol

import anyio
import structlog

from kannon.db.cancellations import Cancelled, ending
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pauses import finish_pauses
from kannon.db.pool import Database
from kannon.errors import Unavailable
from kannon.mail.event import Event, EventType, delivery_event_id

CANCELLED = "cancelled"
PAGE = 500
LOOK_SECONDS = 5.0
"""For what came back from a sender after it was cancelled, and for what another process left behind."""
log = structlog.get_logger(__name__)


class OutcomeBus(Protocol):
    """Of the bus: tells outcomes."""

    async def publish_events(self, events: Sequence[Event]) -> None: ...


class CancelWorker:
    """`run` is the task; `nudge` has it look at once."""

    def __init__(self, db: Database, bus: OutcomeBus) -> None:
        self._db = db
        self._bus = bus
        self._nudged = anyio.Event()

    def nudge(self) -> None:
        self._nudged.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            self._nudged = anyio.Event()
            try:
                while await self.end_page():
                    pass
                await finish_pauses(self._db)
            except Unavailable as error:  # a new database without tables yet, or an absence that others tell of
                log.debug("cancellations and resumptions not finished yet", reason=str(error))
            with anyio.move_on_after(LOOK_SECONDS):
                await self._nudged.wait()

    @repeat_on_conflict
    async def end_page(self) -> int:
        """How many. Raises Unavailable; then the page is as it was."""
        async with ending(self._db, page=PAGE) as rows:
            if rows:
                await self._bus.publish_events([_event(row) for row in rows])
        return len(rows)


def _event(row: Cancelled) -> Event:
    return Event(
        event_id=delivery_event_id(row.id, row.attempts, EventType.FAILED),
        type=EventType.FAILED,
        domain=row.domain,
        message_id=row.message_id,
        email=row.email,
        at=row.cancelled_at,  # not the clock: a repeat after a crash must be the same event
        delivery_id=row.id,
        attempt=row.attempts,
        text=CANCELLED,
    )
