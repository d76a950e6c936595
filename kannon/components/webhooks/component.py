"""The webhooks component: leases endpoints that have something due, and runs a worker for each.

In: the outbox, on notification of `stats` and at least each POLL_SECONDS. Out: HTTP requests to the endpoints, and
their results in the database. Several processes may run one each: an endpoint is leased by one of them. At the stop
running requests end (at most POST_SECONDS), their results are committed and the leases given back.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus

from kannon.bus.streams import NOTIFY_WEBHOOKS
from kannon.components.webhooks.endpoint_worker import EndpointWorker, Slots, Work
from kannon.components.webhooks.jobs import (
    BATCH_SECONDS,
    CLEAN_SECONDS,
    RECORDS_SECONDS,
    CleanOutbox,
    FinishedBatches,
    Lookup,
    RecordCheckJob,
    repeat,
)
from kannon.components.webhooks.settler import Settler
from kannon.db import webhook_outbox
from kannon.db.pool import Database
from kannon.db.webhook_outbox import QueuedEvent
from kannon.errors import KannonError, Unavailable
from kannon.mail.dns.records import ServerNames
from kannon.mail.webhook import Endpoint
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.outbound.http_post import Posted, Poster

log = structlog.get_logger()

POLL_SECONDS = 0.5
GATHER_SECONDS = 0.02
_PAGE = 500  # endpoints of a look
_RENEW_SECONDS = 2.0  # a change of an endpoint reaches its worker by then
_RELEASE_SECONDS = 2.0


class Notification(Protocol):
    async def wait(self, seconds: float) -> None: ...


class Bus(Protocol):
    async def ready(self) -> None: ...
    def listen(self, subject: str, stop: anyio.Event) -> AbstractAsyncContextManager[Notification]: ...


class Metrics(Protocol):
    def webhook_posted(self, events: int, result: str, waited: Sequence[float]) -> None: ...
    def webhook_gave_up(self, events: int) -> None: ...
    def webhook_disabled(self) -> None: ...


class Webhooks:
    """`owner` names this process in leases. `lost_before`: leases from before this time are
    lost. `clock` None: PostgreSQL's clock says what is due."""

    name = "webhooks"

    def __init__(
        self,
        db: Database,
        bus: Bus,
        poster: Poster,
        *,
        owner: str,
        chance: Callable[[], float],
        clock: Callable[[], datetime] | None = None,
        records: tuple[Lookup, ServerNames] | None = None,
        lost_before: Callable[[], Awaitable[datetime]] | None = None,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        """`records` None: published records are not checked."""
        self._db = db
        self._bus = bus
        self._poster = poster
        self._owner = owner
        self._clock = clock
        self._records = records
        self._lost_before = lost_before
        self._metrics = metrics
        self._workers: dict[str, EndpointWorker] = {}
        self._changed = anyio.Event()
        self._settler = Settler(partial(webhook_outbox.settle_requests, db), self._switched_off)
        self._work = Work(
            list_due=self._list_due,
            queue_replayed=partial(webhook_outbox.queue_replayed, db),
            settle=self._settler.settle,
            post=poster.post,
            slots=Slots(),
            clock=clock or (lambda: datetime.now(UTC)),
            chance=chance,
            ended=self._request_ended,
        )

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await self._bus.ready()
        await webhook_outbox.release_leases(self._db, self._owner)
        if self._lost_before is not None:
            await webhook_outbox.release_lost_leases(self._db, await self._lost_before())
        async with (
            self._poster,
            self._bus.listen(NOTIFY_WEBHOOKS, stop) as notification,
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._settler.run)
            group.start_soon(self._renew)
            for seconds, job in self._jobs():
                group.start_soon(repeat, seconds, job)
            group.start_soon(self._wait_for, notification)
            task_status.started()
            async with anyio.create_task_group() as workers:
                while not stop.is_set():
                    self._changed = anyio.Event()
                    await self._look(workers)
                    with anyio.move_on_after(POLL_SECONDS):
                        await self._changed.wait()
                    await anyio.sleep(GATHER_SECONDS)
                for worker in self._workers.values():
                    worker.stop()
            await self._release()
            group.cancel_scope.cancel()

    async def _wait_for(self, notification: Notification) -> None:
        while True:
            await notification.wait(POLL_SECONDS)
            self._notify()
            await anyio.sleep(GATHER_SECONDS)

    def _notify(self) -> None:
        self._changed.set()

    def _jobs(self) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        jobs: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (BATCH_SECONDS, FinishedBatches(self._db, self._notify)),
            (CLEAN_SECONDS, CleanOutbox(self._db, self._metrics.webhook_gave_up)),
        ]
        if self._records is not None:
            jobs.append((RECORDS_SECONDS, RecordCheckJob(self._db, *self._records, self._notify)))
        return jobs

    async def _look(self, group: TaskGroup) -> None:
        """A worker for each endpoint that has something to do and has none."""
        try:
            endpoints = await webhook_outbox.lease_endpoints(
                self._db, self._owner, self._workers, _PAGE, self._clock and self._clock()
            )
        except Unavailable as error:
            log.warning("cannot look for webhook events; retrying", reason=str(error))
            return
        for endpoint in endpoints:
            worker = self._workers[endpoint.id] = EndpointWorker(endpoint, self._work)
            group.start_soon(self._run_worker, worker)

    async def _run_worker(self, worker: EndpointWorker) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[worker.endpoint.id]
        self._notify()  # for what came after its last read

    async def _list_due(self, endpoint_id: str, busy: Collection[int], page: int) -> list[QueuedEvent]:
        now = self._clock and self._clock()
        return await webhook_outbox.list_due_events(self._db, endpoint_id, busy, page, now)

    async def _renew(self) -> None:
        """A worker whose endpoint another process has, or that was switched off, begins no further request."""
        while True:
            await anyio.sleep(_RENEW_SECONDS)
            if not self._workers:
                continue
            try:
                ours = await webhook_outbox.renew_leases(self._db, self._owner, list(self._workers))
            except Unavailable as error:
                log.debug("cannot renew leases; retrying", reason=str(error))
                continue
            for endpoint_id, worker in self._workers.items():
                if endpoint_id in ours:
                    worker.endpoint = ours[endpoint_id]
                else:
                    worker.stop()

    async def _release(self) -> None:
        try:
            with anyio.fail_after(_RELEASE_SECONDS, shield=True):
                await webhook_outbox.release_leases(self._db, self._owner)
        except (KannonError, TimeoutError) as error:
            log.debug("leases not given back; they end by themselves", reason=str(error))

    def _request_ended(self, endpoint: Endpoint, events: Sequence[QueuedEvent], posted: Posted, given_up: int) -> None:
        now = datetime.now(UTC)
        waited = [max(0.0, (now - each.stored_at).total_seconds()) for each in events if not each.attempts]
        result = "posted" if not posted.problem else "failed"
        self._metrics.webhook_posted(len(events), result, waited if result == "posted" else ())
        if posted.problem:
            log.info(
                "webhook failed",
                endpoint=endpoint.id,
                domain=endpoint.domain,
                events=len(events),
                reason=posted.problem,
            )
        if given_up:
            self._metrics.webhook_gave_up(given_up)
            log.warning("webhook events given up", endpoint=endpoint.id, domain=endpoint.domain, events=given_up)

    def _switched_off(self, endpoint: Endpoint) -> None:
        self._metrics.webhook_disabled()
        log.error(
            "webhook endpoint switched off",
            endpoint=endpoint.id,
            domain=endpoint.domain,
            url=endpoint.url,
            reason=endpoint.disabled_reason,
        )
        if (worker := self._workers.get(endpoint.id)) is not None:
            worker.stop()
