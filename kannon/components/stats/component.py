"""stats: stores events as rows and counters.

In: kannon.stats.*, kannon.bounce and kannon.tls_results, in pages. Out: `stats` and `aggregated_stats`, each event once
even when it is redelivered, the suppression that a bounce or complaint requires, and the pause of a batch by the guard;
TLS results, and the reports of them. It also creates partitions in advance, drops those older than `stats.retention`,
and deletes expired suppressions. A message that is no event becomes a dead letter.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.bus.consume import Limits, PageHandler
from kannon.bus.events import read_events
from kannon.bus.settle import Message
from kannon.bus.streams import BOUNCES_STATS, STATS, TLS_STATS, ConsumerSpec
from kannon.components.stats.tls_reports import TlsReports, store_results
from kannon.db.pool import Database
from kannon.db.reports import delete_old_reports
from kannon.db.stats_write import WEEK, drop_old_partitions, ensure_partitions, insert_events, week_of
from kannon.db.suppressions import delete_expired_suppressions, delete_forgotten_bounces
from kannon.errors import Unavailable
from kannon.mail.event import REPORT, Event, EventType
from kannon.mail.guard import NO_GUARD, Cause, GuardRule
from kannon.mail.suppression import Suppression, SuppressionRule
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

PAGE = 1000  # messages of a page, and events of a statement
PAGE_BYTES = 4 << 20  # a message may have many events
GATHER_SECONDS = 0.1  # a statement costs as much as some dozens of its events
RETENTION_SECONDS = 600.0
REDELIVERY = timedelta(days=8)  # a little longer than the bus keeps an event (168 h)


class Bus(Protocol):
    async def ready(self) -> None: ...
    async def consume(self, spec: ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event) -> None: ...
    async def notify_webhooks(self) -> None: ...


class Metrics(Protocol):
    def stored(
        self, events: Sequence[Event], fresh: Mapping[tuple[str, EventType], int], waited: Sequence[float]
    ) -> None: ...
    def suppressed(self, suppressions: Sequence[Suppression]) -> None: ...
    def guard_paused(self, cause: Cause) -> None: ...


class Stats:
    """Several processes may run one each; they share the consumers."""

    name = "stats"

    def __init__(
        self,
        db: Database,
        bus: Bus,
        *,
        retention: timedelta,
        rule: SuppressionRule,
        guard: GuardRule = NO_GUARD,
        clock: Callable[[], datetime],
        metrics: Metrics = NULL_METRICS,
        tls_reports: TlsReports | None = None,
    ) -> None:
        """`tls_reports` None: none are sent."""
        self._tls_reports = tls_reports
        self._db = db
        self._bus = bus
        self._retention = retention
        self._rule = rule
        self._guard = guard
        self._clock = clock
        self._metrics = metrics
        self._weeks: set[date] = set()  # partitions known to exist

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await self._bus.ready()
        await self._ensure_weeks({week_of(self._clock())})  # raises Unavailable before it is started
        async with anyio.create_task_group() as group:
            group.start_soon(self._run_retention)
            if self._tls_reports is not None:
                group.start_soon(self._tls_reports.run)
            async with anyio.create_task_group() as consumers:
                # PostgreSQL writes one page while the next is decoded and a third gathers.
                limits = Limits(
                    page=PAGE,
                    in_flight=3 * PAGE,
                    pages_at_once=2,
                    bytes_in_flight=PAGE_BYTES,
                    gather_seconds=GATHER_SECONDS,
                )
                for spec in (STATS, BOUNCES_STATS):
                    consumers.start_soon(partial(self._bus.consume, spec, self.handle_page, limits, stop=stop))
                results = partial(store_results, self._db)
                consumers.start_soon(partial(self._bus.consume, TLS_STATS, results, Limits(PAGE, PAGE), stop=stop))
                task_status.started()
            group.cancel_scope.cancel()

    async def handle_page(self, page: list[Message]) -> None:
        """Inserts and counts, then acks. A crash in between costs a redelivery that changes nothing."""
        events, readable = await read_events(page)
        if events:
            await self._ensure_weeks({week_of(e.at) for e in events})
        for first in range(0, len(events), PAGE):
            await self._store(events[first : first + PAGE])
        for message in readable:
            await message.ack()

    async def _store(self, events: list[Event]) -> None:
        required = [s for s in map(self._rule.apply, events) if s is not None]
        try:
            stored = await insert_events(self._db, events, required, self._guard)
        except Unavailable:
            self._weeks.clear()  # the partitions may have changed when PostgreSQL is back
            raise
        if stored.queued:
            await self._bus.notify_webhooks()
        now = self._clock()
        dated = [event for event in events if event.stage != REPORT]  # a report has the date of a remote server's clock
        waited = [max(0.0, (now - event.at).total_seconds()) for event in dated]
        self._metrics.stored(events, stored.fresh, waited)
        suppressed = [s for s in required if s.event_id in stored.suppressed]
        self._metrics.suppressed(suppressed)
        for each in suppressed:
            log.info(
                "address suppressed",
                domain=each.domain,
                batch=each.message_id,
                delivery=each.delivery_id,
                recipient=each.email,
                cause=each.cause,
                reason=each.text,
            )

        for batch in stored.paused:
            self._metrics.guard_paused(batch.trip.cause)
            log.warning(
                "the guard paused a batch",
                domain=batch.domain,
                batch=batch.message_id,
                reason=batch.trip.text,
                next=f"kannon batches resume {batch.message_id}, or cancel",
            )

    async def _ensure_weeks(self, weeks: set[date]) -> None:
        if missing := weeks - self._weeks:
            await ensure_partitions(self._db, missing)
            self._weeks |= missing

    async def _run_retention(self) -> None:
        """Its failures do not stop the storing of events."""
        while True:
            try:
                await self._apply_retention()
            except Unavailable as error:
                log.warning("cannot apply the retention; retrying", reason=str(error))
            await anyio.sleep(RETENTION_SECONDS)

    async def _apply_retention(self) -> None:
        """Creates the partitions of this week and the next, then deletes expired rows. Raises Unavailable."""
        now = self._clock()
        await self._ensure_weeks({week_of(now), week_of(now + WEEK)})
        dropped = await drop_old_partitions(self._db, now - max(self._retention, REDELIVERY))
        self._weeks -= set(dropped)
        if dropped:
            log.info("expired statistics dropped", weeks=[str(week) for week in dropped])
        if expired := await delete_expired_suppressions(self._db):
            log.info("expired suppressions deleted", count=expired)
        await delete_forgotten_bounces(self._db, now)
        await delete_old_reports(self._db, now - self._retention)
