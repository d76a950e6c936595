"""The dispatcher's feeding side: claims due deliveries, has them built and signed, publishes the envelopes.

In: scheduled rows whose time has come, woken by the validator. Out: kannon.sending. The row stays `sending` until its
outcome comes back. Pages, and what waits in the stream, are as large as the senders take in part of a second, and in
a page the small batches go first, so a large batch does not stand in the way of another tenant's single mail.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskGroup

from kannon.bus.connection import Queue
from kannon.bus.streams import WAKE_DISPATCHER
from kannon.components.dispatcher.builder import BuildFailure
from kannon.db.pool import Database
from kannon.db.queue import claim_due, release_sending
from kannon.errors import KannonError, Unavailable
from kannon.mail.batch import Delivery
from kannon.mail.envelope import Envelope
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

POLL_SECONDS = 1.0  # the safety net under the nudges, and the grain of retry times
ROOM_POLL_SECONDS = 0.05
BACKLOG_SECONDS = 0.5  # what the senders take in this time may wait in the stream: all of it stands before a new mail
CLAIM_SECONDS = 0.25  # likewise of a page: whoever becomes due waits for those that are claimed already
SMALLEST_PAGE = 50  # a claim costs as much as building a few mails
SMOOTHING_SECONDS = 2.0
PAGE_SECONDS = 30.0  # half the shortest lease: a page that is not out by then is given back
CHUNK = 100  # deliveries built per call: small enough to keep several pages moving, large enough to be cheap
CHUNK_BYTES = 16 << 20
CLAIM_LIMIT_SECONDS = 15.0  # a cancelled claim is waited for so long: half of what a stop may take
RELEASE_DELAY = timedelta(seconds=2)
RELEASE_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 4.0


class Wake(Protocol):
    async def wait(self, seconds: float) -> None: ...


class Bus(Protocol):
    async def publish_envelopes(self, envelopes: Sequence[Envelope]) -> None: ...
    async def publish_events(self, events: Sequence[Event]) -> None: ...
    async def sending_queue(self) -> Queue: ...
    def listen(self, subject: str, stop: anyio.Event) -> AbstractAsyncContextManager[Wake]: ...


class Builder(Protocol):
    async def build(
        self, message_id: str, deliveries: Sequence[Delivery], now: datetime
    ) -> list[Envelope | BuildFailure]: ...
    async def estimate_bytes(self, message_id: str) -> int: ...


class Meter(Protocol):
    def built(self, mails: int, failures: int, seconds: float) -> None: ...
    def dispatched(self, waited: Sequence[float]) -> None: ...


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    page: int
    max_backlog: int
    max_backlog_bytes: int
    pages_at_once: int


class Pace:
    """How many envelopes a second the senders take, smoothed."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._seen: tuple[float, int] | None = None

    def rate(self, now: float, handed_over: int) -> float:
        """`handed_over` is a counter; it starts anew when the stream does."""
        if self._seen is None or handed_over < self._seen[1]:
            self._seen = now, handed_over
            return self._rate
        elapsed = now - self._seen[0]
        if elapsed > 0:
            weight = min(1.0, elapsed / SMOOTHING_SECONDS)
            self._rate += ((handed_over - self._seen[1]) / elapsed - self._rate) * weight
            self._seen = now, handed_over
        return self._rate


class Scheduler:
    """One loop claims; each claimed page is built and published in a task of its own, so that building never waits."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        builder: Builder,
        limits: SchedulerLimits,
        *,
        clock: Callable[[], datetime],
        meter: Meter = NULL_METRICS,
    ) -> None:
        self._db = db
        self._bus = bus
        self._builder = builder
        self._limits = limits
        self._clock = clock
        self._meter = meter
        self._pages = anyio.CapacityLimiter(limits.pages_at_once)
        self._pace = Pace()
        self._rate = 0.0

    async def run(self, stop: anyio.Event) -> None:
        """Until stop. While PostgreSQL or NATS is away it waits; the pages in work and the build workers stay."""
        self._pages = anyio.CapacityLimiter(self._limits.pages_at_once)  # a run that was cut may have kept places
        pause = FIRST_PAUSE_SECONDS
        async with self._bus.listen(WAKE_DISPATCHER, stop) as wake, anyio.create_task_group() as group:
            while not stop.is_set():
                try:
                    wait = await self._feed_page(group)
                except Unavailable as error:
                    log.warning("cannot claim deliveries; retrying", why=str(error), retry_seconds=pause)
                    wait, pause = pause, min(2 * pause, MAX_PAUSE_SECONDS)
                else:
                    pause = FIRST_PAUSE_SECONDS
                if wait:
                    await wake.wait(wait)

    async def _feed_page(self, group: TaskGroup) -> float:
        """Claims one page and starts its work; gives how long to wait before the next. Raises Unavailable."""
        room = await self._room()
        if room <= 0:
            return ROOM_POLL_SECONDS
        slot = object()
        await self._pages.acquire_on_behalf_of(slot)
        until = anyio.current_time() + PAGE_SECONDS  # the lease counts from the claim's beginning
        page: list[Delivery] = []
        try:
            page = await self._claim(min(room, self._page_size()))
        finally:
            if not page:
                self._pages.release_on_behalf_of(slot)
        if not page:
            return POLL_SECONDS
        group.start_soon(self._work, page, slot, until)
        return 0.0

    async def _claim(self, count: int) -> list[Delivery]:
        """Cancelled, it finishes and then hands the rows back: cut between its commit and its answer, it would leave
        them to their lease, as a crash there does."""
        try:
            with anyio.fail_after(CLAIM_LIMIT_SECONDS, shield=True):
                page = await claim_due(self._db, count)
        except TimeoutError:
            raise Unavailable(f"PostgreSQL: a claim took longer than {CLAIM_LIMIT_SECONDS:g} s") from None
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
        except anyio.get_cancelled_exc_class():
            await self._release([delivery.id for delivery in page])
            raise
        return page

    async def _release(self, ids: Sequence[int]) -> None:
        """Back to the queue, no attempt counted. Where that fails, their lease takes them back."""
        if not ids:
            return
        try:
            with anyio.fail_after(RELEASE_SECONDS, shield=True):
                await release_sending(self._db, ids, delay=RELEASE_DELAY)
        except (KannonError, TimeoutError) as error:
            log.warning("deliveries wait for their lease", deliveries=len(ids), why=str(error) or "took too long")

    async def _room(self) -> int:
        """How many more envelopes may wait: in all, and of those that no sender has seen yet."""
        queue = await self._bus.sending_queue()
        rate = self._rate = self._pace.rate(anyio.current_time(), queue.handed_over)
        if queue.backlog.bytes >= self._limits.max_backlog_bytes:
            return 0
        enough = max(2 * self._page_size(), int(rate * BACKLOG_SECONDS))
        return min(self._limits.max_backlog - queue.backlog.messages, enough - queue.fresh)

    def _page_size(self) -> int:
        return min(self._limits.page, max(SMALLEST_PAGE, int(self._rate * CLAIM_SECONDS)))

    async def _work(self, page: list[Delivery], slot: object, until: float) -> None:
        """Publishes the page; what of it is not out when this ends goes back to the queue, no attempt counted."""
        waiting = {delivery.id: delivery for delivery in page}
        try:
            with anyio.fail_after(until - anyio.current_time()):
                for chunk in await self._chunks(page):
                    await self._publish(chunk)
                    for delivery in chunk:
                        del waiting[delivery.id]
        except (KannonError, TimeoutError) as error:
            log.warning("page not published", deliveries=len(waiting), why=str(error) or "took too long")
        finally:
            self._pages.release_on_behalf_of(slot)
            await self._release(list(waiting))

    async def _chunks(self, page: Sequence[Delivery]) -> list[list[Delivery]]:
        """By batch, and no chunk's mails larger than CHUNK_BYTES together. The smallest first: a single mail does not
        wait for a hundred of another batch to be signed."""
        by_batch: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in page:
            by_batch[delivery.message_id].append(delivery)
        chunks = []
        for message_id, deliveries in sorted(by_batch.items(), key=lambda each: len(each[1])):
            size = max(1, await self._builder.estimate_bytes(message_id))
            count = max(1, min(CHUNK, CHUNK_BYTES // size))
            chunks += [deliveries[i : i + count] for i in range(0, len(deliveries), count)]
        return sorted(chunks, key=len)

    async def _publish(self, chunk: Sequence[Delivery]) -> None:
        """Publishes (acked); the rows stay `sending`. A crash before this leaves claims that are taken back after their
        lease; a crash after it costs nothing, the envelope is in the stream."""
        now = self._clock()
        started = anyio.current_time()
        built = await self._builder.build(chunk[0].message_id, chunk, now)
        seconds = anyio.current_time() - started
        envelopes = [item for item in built if isinstance(item, Envelope)]
        await self._bus.publish_envelopes(envelopes)
        failures = [item for item in built if isinstance(item, BuildFailure)]
        self._meter.built(len(envelopes), len(failures), seconds)
        self._meter.dispatched([(self._clock() - e.due_at).total_seconds() for e in envelopes if e.attempt == 1])
        if failures:
            # A mail that cannot be built is deferred like one that cannot be sent: visible, retried, given up in time.
            await self._bus.publish_events([_error(failure, now) for failure in failures])


def _error(failure: BuildFailure, now: datetime) -> Event:
    delivery = failure.delivery
    return Event(
        event_id=delivery_event_id(delivery.id, delivery.attempt, EventType.ERROR),
        type=EventType.ERROR,
        domain=delivery.domain,
        message_id=delivery.message_id,
        email=delivery.recipient.email,
        at=now,
        delivery_id=delivery.id,
        attempt=delivery.attempt,
        text=failure.reason,
        stage="build",
    )
