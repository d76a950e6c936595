"""The dispatcher as a component: the scheduler, the two outcome consumers, throttled destinations, answers about
redelivered envelopes, and the reclaim of lost claims.

In: database and bus. Out: a running dispatcher; it is *started* once it consumes outcomes and claims deliveries.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.bus.backlog import Backlog, Progress
from kannon.bus.consume import Limits, PageHandler
from kannon.bus.redelivered import DispatcherAnswer
from kannon.bus.streams import BOUNCES_DISPATCHER, DUPLICATE_WINDOW_SECONDS, OUTCOMES, ConsumerSpec
from kannon.bus.throttled import ThrottledHandler
from kannon.components.dispatcher.clock import PoolClock
from kannon.components.dispatcher.outcomes import Outcomes
from kannon.components.dispatcher.redelivered import RedeliveredEnvelopes
from kannon.components.dispatcher.scheduler import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, PAGE_SECONDS, Scheduler
from kannon.components.dispatcher.throttle import ThrottledDestinations
from kannon.db.pool import Database
from kannon.db.presence import DISPATCHER, watch_presence
from kannon.db.queue import any_sending, read_clock, reclaim_sending, release_recent
from kannon.errors import KannonError, Unavailable
from kannon.log import leaves
from kannon.mail.retry import RetryBudget

log = structlog.get_logger()

OUTCOME_PAGE = 500  # messages
OUTCOME_BYTES = 4 << 20  # a message may have many events
GATHER_SECONDS = 0.05  # a transaction costs as much as some dozens of its rows
RECLAIM_SECONDS = 2.0
IDLE_PURGE_SECONDS = 20.0
GONE_SPAN = timedelta(seconds=2 * PAGE_SECONDS)  # a page, and the time to notice
# Longer than the kernel keeps what is written from the disk. Shorter than the stream's memory of ids, which NATS reads
# from the envelopes that it still has when it is restarted.
LOST_SPAN = timedelta(seconds=DUPLICATE_WINDOW_SECONDS / 2)
SWEEP_SECONDS = 2 * PAGE_SECONDS  # a page's bodies and its envelopes are published within PAGE_SECONDS


class Bus(Protocol):
    @property
    def restarts(self) -> int: ...
    async def ready(self) -> None: ...
    async def purge_settled(self) -> None: ...
    async def backlog(self) -> Backlog: ...
    async def progress(self, spec: ConsumerSpec) -> Progress: ...
    async def sweep_bodies(self) -> None: ...
    async def take_throttled(self, handle: ThrottledHandler, stop: anyio.Event) -> None: ...
    async def serve_dispatcher(self, answer: DispatcherAnswer, stop: anyio.Event) -> None: ...
    async def consume(self, spec: ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event) -> None: ...


class Dispatcher:
    """Several of them, in several processes, share pool and consumers. `lost_before`: claims from before this time are
    lost, and are reclaimed without waiting for their lease; None: other processes may hold claims of any age. `alone`:
    no other process claims."""

    name = "dispatcher"

    def __init__(
        self,
        db: Database,
        bus: Bus,
        scheduler: Scheduler,
        outcomes: Outcomes,
        builder: AbstractAsyncContextManager[object],
        *,
        budget: RetryBudget,
        lease: timedelta,
        lost_before: Callable[[], Awaitable[datetime]] | None = None,
        alone: bool = False,
    ) -> None:
        self._db = db
        self._bus = bus
        self._scheduler = scheduler
        self._outcomes = outcomes
        self._builder = builder
        self._throttled = ThrottledDestinations(db)
        self._redelivered = RedeliveredEnvelopes(db, bus)
        self._clock = PoolClock(db, budget, lease=lease)
        self._lease = lease
        self._read_lost_before = lost_before
        self._lost_before: datetime | None = None
        self._alone = alone
        self._restarts: int | None = None  # of the bus; None: the claims from before the start are not looked at yet
        self._jumps = 0
        self._purge_at = float("-inf")
        self._observed: tuple[datetime, int] | None = (
            None  # the last result of `_reclaim`: claims before this time, and the last outcome's sequence
        )

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await self._bus.ready()
        if not self._alone:
            self._restarts = self._bus.restarts
        if self._read_lost_before is not None:
            self._lost_before = await self._read_lost_before()
        await self._reclaim()
        await self._reclaim()  # the first call only observes
        async with anyio.create_task_group() as group:
            group.start_soon(self._clock.watch)
            group.start_soon(self._reclaim_regularly)
            group.start_soon(self._sweep_regularly)
            if not self._alone:
                group.start_soon(watch_presence, self._db, DISPATCHER, self._release_of_gone)
            async with anyio.create_task_group() as work:
                # One page at a time, in one transaction; the next page gathers meanwhile.
                limits = Limits(
                    page=OUTCOME_PAGE,
                    in_flight=2 * OUTCOME_PAGE,
                    bytes_in_flight=OUTCOME_BYTES,
                    gather_seconds=GATHER_SECONDS,
                )
                for spec in (OUTCOMES, BOUNCES_DISPATCHER):
                    consume = partial(self._bus.consume, spec, self._outcomes.handle_page, limits, stop=stop)
                    work.start_soon(self._run_again, spec.stream, consume, stop)
                take = partial(self._bus.take_throttled, self._throttled.on_throttled, stop)
                work.start_soon(self._run_again, "throttled", take, stop)
                answer = partial(self._bus.serve_dispatcher, self._redelivered.find_closed, stop)
                work.start_soon(self._run_again, "redelivered", answer, stop)
                # The workers take seconds to start. Senders wait for answers about the envelopes of a killed process.
                async with self._builder:
                    task_status.started()
                    await self._run_again("scheduler", partial(self._scheduler.run, stop), stop)
            group.cancel_scope.cancel()

    async def _run_again(self, part: str, run: Callable[[], Awaitable[None]], stop: anyio.Event) -> None:
        """Runs a part until `stop`, again each time PostgreSQL or NATS was away. The other parts and the build workers,
        which start slowly, keep running. Health checks do not need this to fail: they ask PostgreSQL and NATS."""
        pause = FIRST_PAUSE_SECONDS
        while not stop.is_set():
            began = anyio.current_time()
            try:
                await run()
            except Exception as error:
                causes = leaves(error)
                if not all(isinstance(cause, Unavailable) for cause in causes):
                    raise
                if anyio.current_time() - began > MAX_PAUSE_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
                log.warning("dispatcher waits for a dependency", part=part, reason=str(causes[0]), retry_seconds=pause)
                with anyio.move_on_after(pause):
                    await stop.wait()
                pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _reclaim_regularly(self) -> None:
        while True:
            try:
                if self._restarts != self._bus.restarts:
                    await self._release_of_lost()
                await self._reclaim()
            except KannonError as error:
                log.warning("cannot reclaim deliveries; retrying", reason=str(error))
            await anyio.sleep(RECLAIM_SECONDS)

    async def _sweep_regularly(self) -> None:
        while True:
            await anyio.sleep(SWEEP_SECONDS)
            try:
                await self._bus.sweep_bodies()
            except KannonError as error:
                log.warning("cannot delete unused bodies; retrying", reason=str(error))

    async def _release_of_gone(self, now: datetime) -> None:
        """Another dispatcher is gone. The pages that it had claimed and not published are younger than PAGE_SECONDS.

        Which rows they are is not known, so all claims of that time return, and are built again. Where the stream has
        the envelope, or had it within its memory of ids, it drops the second one. A restart of NATS ends that memory
        for acknowledged envelopes; hence the outcomes first, which settle the rows of these.
        """
        await self._redelivered.outcomes_settled()
        if count := await release_recent(self._db, now, GONE_SPAN):
            log.warning("another dispatcher is gone; its claims return to the queue", deliveries=count)

    async def _release_of_lost(self) -> None:
        """Kannon or its nats-server was started. Some claims have no envelope: they were not published when Kannon was
        killed, or not written when nats-server was, or the power failed. All return, as when a dispatcher is gone."""
        restarts = self._bus.restarts
        now = await read_clock(self._db)
        await self._redelivered.outcomes_settled()
        if count := await release_recent(self._db, now, LOST_SPAN):
            log.info("claims from before the start return to the queue", deliveries=count)
        self._restarts = restarts

    async def _reclaim(self) -> None:
        """Reclaims rows whose lease has ended and whose envelope is gone.

        An envelope becomes an outcome and the outcome a settled row; each step is durable before the previous one is
        acknowledged. Rows claimed well before the oldest envelope of the sending stream have no envelope there. Once
        all outcomes published by then are settled, such rows have no outcome either: their envelope is lost. A backlog
        thereby renews the lease of everything in it.

        PostgreSQL dates claims and NATS dates envelopes, so only ages are compared, never times.
        """
        now = await self._clock.read()
        if self._clock.jumps != self._jumps:
            self._observed, self._jumps = None, self._clock.jumps  # it was by the other clock
        if not await any_sending(self._db):
            self._observed = None
            if anyio.current_time() >= self._purge_at:
                self._purge_at = anyio.current_time() + IDLE_PURGE_SECONDS
                await self._bus.purge_settled()
            return
        await self._bus.purge_settled()
        backlog = await self._bus.backlog()
        progress = await self._bus.progress(OUTCOMES)
        if self._observed is not None:
            before, last_seq = self._observed
            if (progress.waiting == 0 or progress.settled_seq >= last_seq) and (
                count := await reclaim_sending(self._db, before)
            ):
                log.warning("reclaimed deliveries whose lease ended", deliveries=count)
        before = now - self._lease - self._clock.ahead
        if self._lost_before is not None:
            before = max(before, self._lost_before - self._clock.back)
        if backlog.age is not None:
            before = min(before, now - backlog.age - self._lease - self._clock.ahead)
        # A claim from before the stream existed has no envelope in it: NATS has lost its store.
        before = max(before, now - backlog.stream_age - self._clock.ahead)
        self._observed = before, progress.last_seq
