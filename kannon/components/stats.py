"""stats: events off the bus into rows and counters.

In: kannon.stats.* and kannon.bounce, in pages. Out: `stats` and `aggregated_stats`, each event once however often it is
delivered, and with it the suppression that a bounce or complaint calls for. It also makes the partitions ahead of need,
drops those older than `stats.retention`, and suppressions whose time is over.
What is no event is parked and its neighbours go on.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.bus.consume import Limits, Message, PageHandler
from kannon.bus.streams import BOUNCES_STATS, STATS, ConsumerSpec
from kannon.db.pool import Database
from kannon.db.stats_write import WEEK, drop_old_partitions, ensure_partitions, insert_events, week_of
from kannon.db.suppressions import delete_expired_suppressions
from kannon.errors import Poison, Unavailable
from kannon.mail.event import REPORT, Event
from kannon.mail.suppression import Suppression, SuppressionRule
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.wire.events import decode_event

log = structlog.get_logger()

PAGE = 1000
HOUSEKEEPING_SECONDS = 600.0
REDELIVERY = timedelta(days=8)  # a little longer than the bus keeps an event (168 h)


class Bus(Protocol):
    async def ready(self) -> None: ...
    async def consume(self, spec: ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event) -> None: ...


class Meter(Protocol):
    def stored(self, events: Sequence[Event], new: int, waited: Sequence[float]) -> None: ...
    def suppressed(self, suppressions: Sequence[Suppression]) -> None: ...


class Stats:
    """One instance a process; several processes share the consumers."""

    name = "stats"

    def __init__(
        self,
        db: Database,
        bus: Bus,
        *,
        retention: timedelta,
        rule: SuppressionRule,
        clock: Callable[[], datetime],
        meter: Meter = NULL_METRICS,
    ) -> None:
        self._db = db
        self._bus = bus
        self._retention = retention
        self._rule = rule
        self._clock = clock
        self._meter = meter
        self._weeks: set[date] = set()  # partitions known to exist

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await self._bus.ready()
        await self._ensure_weeks({week_of(self._clock())})  # raises Unavailable before this says that it serves
        async with anyio.create_task_group() as group:
            group.start_soon(self._housekeeping)
            async with anyio.create_task_group() as consumers:
                # While PostgreSQL writes one page the next is decoded, and a third gathers.
                limits = Limits(page=PAGE, in_flight=3 * PAGE, pages_at_once=2)
                for spec in (STATS, BOUNCES_STATS):
                    consumers.start_soon(partial(self._bus.consume, spec, self.handle_page, limits, stop=stop))
                task_status.started()
            group.cancel_scope.cancel()

    async def handle_page(self, page: list[Message]) -> None:
        """Insert and count, then ack: a crash in between costs a redelivery that changes nothing."""
        events: list[Event] = []
        readable: list[Message] = []
        for message in page:
            try:
                events.append(decode_event(message.payload))
                readable.append(message)
            except Poison as poison:
                await message.dead_letter(str(poison))
        if events:
            await self._ensure_weeks({week_of(e.at) for e in events})
            await self._store(events)
        for message in readable:
            await message.ack()

    async def _store(self, events: list[Event]) -> None:
        called_for = [s for s in map(self._rule.apply, events) if s is not None]
        try:
            stored = await insert_events(self._db, events, called_for)
        except Unavailable:
            self._weeks.clear()  # whatever was known of partitions may be wrong by the time it is back
            raise
        now = self._clock()
        ours = [event for event in events if event.stage != REPORT]  # a report is dated by a remote server's clock
        waited = [max(0.0, (now - event.at).total_seconds()) for event in ours]
        self._meter.stored(events, stored.fresh, waited)
        suppressed = [s for s in called_for if s.event_id in stored.suppressed]
        self._meter.suppressed(suppressed)
        for each in suppressed:
            log.info(
                "address suppressed", domain=each.domain, delivery=each.delivery_id, cause=each.cause, why=each.text
            )

    async def _ensure_weeks(self, weeks: set[date]) -> None:
        if missing := weeks - self._weeks:
            await ensure_partitions(self._db, missing)
            self._weeks |= missing

    async def _housekeeping(self) -> None:
        """Whatever becomes of it, events go on being stored."""
        while True:
            try:
                await self._keep_house()
            except Unavailable as error:
                log.warning("statistics past their retention stay for now", why=str(error))
            await anyio.sleep(HOUSEKEEPING_SECONDS)

    async def _keep_house(self) -> None:
        """This week's partition and the next one, before the first event needs it; then what is past its time."""
        now = self._clock()
        await self._ensure_weeks({week_of(now), week_of(now + WEEK)})
        dropped = await drop_old_partitions(self._db, now - max(self._retention, REDELIVERY))
        self._weeks -= set(dropped)
        if dropped:
            log.info("statistics past their retention dropped", weeks=[str(week) for week in dropped])
        if expired := await delete_expired_suppressions(self._db):
            log.info("suppressions whose time is over deleted", count=expired)
