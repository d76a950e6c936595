"""validator: checks the address of each new delivery.

In: rows in to_validate, a page at a time; the api notifies it of new ones. Out: kannon.stats.accepted or rejected; the
row becomes scheduled or is deleted. It asks no DNS: the sender finds out whether a domain exists.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.bus.streams import NOTIFY_VALIDATOR
from kannon.db.claims import claim_or_release, release_claimed
from kannon.db.pool import Database
from kannon.db.presence import VALIDATOR, watch_presence
from kannon.db.queue import (
    ClaimCursor,
    UnvalidatedDelivery,
    claim_to_validate,
    read_clock,
    reclaim_validating,
    release_validating,
    settle_validated,
)
from kannon.mail.address import check_recipient
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

PAGE = 500
POLL_SECONDS = 5.0  # a notification may be lost, when the connection to NATS is
GATHER_SECONDS_PER_ROW = 0.002  # of the last page: an idle validator does not wait
GATHER_SECONDS = 0.05
LEASE = timedelta(seconds=60)  # a page takes well under a second
RECLAIM_SECONDS = 15.0


class Notification(Protocol):
    async def wait(self, seconds: float) -> None: ...


class Bus(Protocol):
    async def ready(self) -> None: ...
    async def publish_events(self, events: Sequence[Event]) -> None: ...
    async def notify_validator(self) -> None: ...
    async def notify_dispatcher(self) -> None: ...
    def listen(self, subject: str, stop: anyio.Event) -> AbstractAsyncContextManager[Notification]: ...


class Metrics(Protocol):
    def validated(self, waited: Sequence[float]) -> None: ...


class Validator:
    """One cycle is one page. `lost_before` and `alone` as for the dispatcher."""

    name = "validator"

    def __init__(
        self,
        db: Database,
        bus: Bus,
        *,
        lost_before: Callable[[], Awaitable[datetime]] | None = None,
        alone: bool = False,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._db = db
        self._bus = bus
        self._lost_before = lost_before
        self._alone = alone
        self._metrics = metrics
        self._cursor = ClaimCursor()

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await self._bus.ready()
        await reclaim_validating(self._db, LEASE if self._lost_before is None else await self._age(self._lost_before))
        async with self._bus.listen(NOTIFY_VALIDATOR, stop) as notification, anyio.create_task_group() as group:
            group.start_soon(self._reclaim)
            if not self._alone:
                group.start_soon(watch_presence, self._db, VALIDATOR, self._release_of_gone)
            task_status.started()
            while not stop.is_set():
                count = await self.cycle()
                if not count:
                    await notification.wait(POLL_SECONDS)
                elif count < PAGE:
                    # Single sends gather, because a page costs as much as a few of its rows.
                    await anyio.sleep(min(count * GATHER_SECONDS_PER_ROW, GATHER_SECONDS))
            group.cancel_scope.cancel()

    async def _age(self, lost_before: Callable[[], Awaitable[datetime]]) -> timedelta:
        """Of the youngest claims that are lost."""
        before = await lost_before()
        return min(LEASE, max(timedelta(0), await read_clock(self._db) - before))

    async def cycle(self) -> int:
        """Claims one page and settles it. Returns the number of rows."""
        page = await claim_or_release(partial(claim_to_validate, self._db, PAGE, self._cursor), self._release)
        if not page:
            return 0
        try:
            await self._settle(page)
        except BaseException:
            await release_claimed(self._release, [row.id for row in page])
            raise
        await self._bus.notify_dispatcher()
        now = datetime.now(UTC)
        self._metrics.validated([(now - row.created_at).total_seconds() for row in page])
        return len(page)

    async def _settle(self, page: Sequence[UnvalidatedDelivery]) -> None:
        problems = {row.id: check_recipient(row.email) for row in page}
        # Order of effects: publish (acknowledged), then change the rows. A crash in between repeats the page under the
        # same event ids, which count once.
        await self._bus.publish_events([_event(row, problems[row.id]) for row in page])
        await settle_validated(
            self._db,
            valid=[row.id for row in page if problems[row.id] is None],
            rejected=[row.id for row in page if problems[row.id] is not None],
        )

    async def _release(self, ids: Sequence[int]) -> None:
        await release_validating(self._db, ids)

    async def _release_of_gone(self, now: datetime) -> None:
        """Another validator is gone. A page that is checked twice publishes the same event ids."""
        if count := await reclaim_validating(self._db, timedelta(0)):
            log.warning("another validator is gone; its claims return to the queue", deliveries=count)
            await self._bus.notify_validator()

    async def _reclaim(self) -> None:
        while True:
            await anyio.sleep(RECLAIM_SECONDS)
            if count := await reclaim_validating(self._db, LEASE):
                log.warning("reclaimed deliveries whose lease ended", deliveries=count)
                await self._bus.notify_validator()


def _event(row: UnvalidatedDelivery, problem: str | None) -> Event:
    kind = EventType.ACCEPTED if problem is None else EventType.REJECTED
    return Event(
        event_id=delivery_event_id(row.id, 0, kind),
        type=kind,
        domain=row.domain,
        message_id=row.message_id,
        email=row.email,
        at=row.created_at,  # not the clock: after a crash the repeated event must equal the first one
        delivery_id=row.id,
        text=problem or "",
    )
