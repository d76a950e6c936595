"""Completes what an operator asked for: removes cancelled deliveries, releases deliveries after the end of a pause.

In: rows marked as cancelled, page by page; ended pauses. Out: kannon.stats.failed with the text "cancelled"; rows that
are due. Order of effects of a cancellation: the API commits the mark, this worker publishes the event (acknowledged)
and then deletes the row. A crash after the publish leaves the marked row, which no sender gets; any process finds it
again and publishes the same event.
"""

from collections.abc import Sequence
from typing import Protocol

import anyio
import structlog

from kannon.db.cancellations import Cancelled, ending
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pauses import end_pauses_of_cancelled_batches, finish_pauses
from kannon.db.pool import Database
from kannon.errors import Unavailable
from kannon.mail.event import Event, EventType, delivery_event_id

CANCELLED = "cancelled"
PAGE = 500
LOOK_SECONDS = 5.0
"""Between two looks: a sender may return a delivery after its cancellation, another process may have crashed."""
log = structlog.get_logger(__name__)


class OutcomeBus(Protocol):
    async def publish_events(self, events: Sequence[Event]) -> None: ...


class CancelWorker:
    """`run` is the task; `notify` makes it look at once."""

    def __init__(self, db: Database, bus: OutcomeBus) -> None:
        self._db = db
        self._bus = bus
        self._notified = anyio.Event()

    def notify(self) -> None:
        self._notified.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            self._notified = anyio.Event()
            try:
                while await self.end_page():
                    pass
                await end_pauses_of_cancelled_batches(self._db)
                await finish_pauses(self._db)
            except Unavailable as error:  # also a new database without tables; other components log an outage
                log.debug("cannot complete cancellations and pauses; retrying", reason=str(error))
            with anyio.move_on_after(LOOK_SECONDS):
                await self._notified.wait()

    @repeat_on_conflict
    async def end_page(self) -> int:
        """Returns the number of deliveries. Raises Unavailable; then the page is unchanged."""
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
        at=row.cancelled_at,  # not the clock: after a crash the repeated event must equal the first one
        delivery_id=row.id,
        attempt=row.attempts,
        text=CANCELLED,
    )
