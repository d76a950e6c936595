"""The dispatcher's scheduler: claims due deliveries, has them built and signed, publishes the envelopes.

In: scheduled rows that are due; the validator notifies it. Out: kannon.sending. The row stays `sending` until its
outcome returns. The rows that are claimed and not yet published, and the envelopes that no sender has fetched yet, are
each as many as the senders take in BACKLOG_SECONDS. In a page the small batches go first. So a large batch does not
delay another tenant's single mail.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from kannon.bus.backlog import Queue
from kannon.bus.streams import KEYS_CHANGED, NOTIFY_DISPATCHER
from kannon.components.dispatcher.builder import BuildFailure
from kannon.db.claims import claim_or_release, release_claimed
from kannon.db.pool import Database
from kannon.db.queue import ClaimCursor, any_sending, claim_due, release_sending, seconds_to_next_due
from kannon.errors import KannonError, Unavailable
from kannon.mail.batch import Delivery
from kannon.mail.envelope import Envelope
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.mail.moving_average import MovingAverage
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

KEYS_POLL_SECONDS = 60.0
POLL_SECONDS = 1.0  # while deliveries are under way, or due and not to be claimed
IDLE_SECONDS = 5.0  # a notification may be lost, when the connection to NATS is; due times are known before
ROOM_POLL_SECONDS = 0.05
BACKLOG_SECONDS = 0.5  # a mail that becomes due waits for all that is claimed or in the stream before it
MIN_PAGE = 50  # a claim costs as much as building a few mails
SMOOTHING_SECONDS = 2.0
PAGE_SECONDS = 30.0  # half the shortest lease: a page that is not published by then returns to the queue
KEEP_SECONDS = 2 * PAGE_SECONDS  # the shortest lease
CHUNK = 100  # deliveries built per call: small enough to keep several pages moving, large enough to be cheap
CHUNK_BYTES = 16 << 20
MIX_FACTOR = 2  # a batch joins a chunk of at least half its size
RELEASE_DELAY = timedelta(seconds=2)
FIRST_PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 2.0


class Notification(Protocol):
    async def wait(self, seconds: float) -> None: ...


class Bus(Protocol):
    async def publish_envelopes(self, envelopes: Sequence[Envelope]) -> None: ...
    async def publish_events(self, events: Sequence[Event]) -> None: ...
    async def sending_queue(self) -> Queue: ...
    def listen(self, subject: str, stop: anyio.Event) -> AbstractAsyncContextManager[Notification]: ...


class Builder(Protocol):
    async def build(self, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | BuildFailure]: ...
    async def estimate_bytes(self, message_ids: Collection[str]) -> Mapping[str, int]: ...
    def forget_keys(self) -> None: ...


class Metrics(Protocol):
    def built(self, mails: int, failures: int, seconds: float) -> None: ...
    def dispatched(self, waited: Sequence[float]) -> None: ...


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """`workers` of the builder; `max_backlog` messages and bytes in the stream."""

    page: int
    max_backlog: int
    max_backlog_bytes: int
    workers: int


class SenderRate:
    """How many envelopes a second the senders take."""

    def __init__(self) -> None:
        self._average = MovingAverage()
        self._last: tuple[float, int] | None = None

    @property
    def value(self) -> float:
        return self._average.value

    def update(self, now: float, handed_over: int) -> float:
        """`handed_over` is a counter. It restarts when the stream is made anew."""
        if self._last is None or handed_over < self._last[1]:
            self._last = now, handed_over
            return self.value
        elapsed = now - self._last[0]
        if elapsed > 0:
            self._average.add((handed_over - self._last[1]) / elapsed, elapsed / SMOOTHING_SECONDS)
            self._last = now, handed_over
        return self.value


class Scheduler:
    """One loop claims; a task for each claimed page builds and publishes it, so that the workers are always busy."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        builder: Builder,
        limits: SchedulerLimits,
        *,
        clock: Callable[[], datetime],
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._db = db
        self._bus = bus
        self._builder = builder
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._rate = SenderRate()
        self._cursor = ClaimCursor()
        self._unpublished = 0  # deliveries that are claimed
        self._page_done = anyio.Event()
        self._claimed: dict[int, float] = {}  # see _release_or_keep

    async def run(self, stop: anyio.Event) -> None:
        """Until stop. While PostgreSQL or NATS is away it waits; the claimed pages and the build workers stay."""
        self._unpublished = 0  # a task that was cancelled before its first step has left its page counted
        pause = FIRST_PAUSE_SECONDS
        async with self._bus.listen(NOTIFY_DISPATCHER, stop) as notification, anyio.create_task_group() as group:
            group.start_soon(self._forget_changed_keys, stop)
            while not stop.is_set():
                try:
                    wait = await self._schedule_page(group)
                except Unavailable as error:
                    log.warning("cannot claim deliveries; retrying", why=str(error), retry_seconds=pause)
                    wait, pause = pause, min(2 * pause, MAX_PAUSE_SECONDS)
                else:
                    pause = FIRST_PAUSE_SECONDS
                if wait:
                    await notification.wait(wait)

    async def _forget_changed_keys(self, stop: anyio.Event) -> None:
        """A notification may be lost: the builder forgets keys after a minute in any case."""
        async with self._bus.listen(KEYS_CHANGED, stop) as changed:
            while not stop.is_set():
                await changed.wait(KEYS_POLL_SECONDS)
                self._builder.forget_keys()

    async def _schedule_page(self, group: TaskGroup) -> float:
        """Claims one page and starts its work. Returns the seconds to wait before the next page. Raises Unavailable."""
        if self._unpublished >= self._pages() * self._page_size():
            self._page_done = anyio.Event()
            await self._page_done.wait()
            return 0.0
        await self._release_again()
        room = await self._room()
        if room <= 0:
            return ROOM_POLL_SECONDS
        until = anyio.current_time() + PAGE_SECONDS  # the lease counts from the beginning of the claim
        page = await self._claim(min(room, self._page_size()))
        if not page:
            return await self._idle_seconds()
        self._unpublished += len(page)
        group.start_soon(self._work, page, until)
        return 0.0

    async def _idle_seconds(self) -> float:
        """Until a row may be due: any time where deliveries are under way, for they come back."""
        due_in = await seconds_to_next_due(self._db)
        if due_in <= 0:
            return POLL_SECONDS
        return min(due_in, POLL_SECONDS if await any_sending(self._db) else IDLE_SECONDS)

    async def _claim(self, count: int) -> list[Delivery]:
        return await claim_or_release(partial(claim_due, self._db, count, self._cursor), self._release)

    async def _release(self, ids: Sequence[int]) -> None:
        """Back to the queue, no attempt counted."""
        await release_sending(self._db, ids, delay=RELEASE_DELAY)

    async def _release_or_keep(self, claimed: dict[int, float]) -> None:
        """Deliveries by when their lease has ended. Those that cannot be released, as on a full disk, are kept for the
        next attempt: a reclaim takes as long as the lease."""
        if not await release_claimed(self._release, list(claimed)):
            self._claimed |= claimed

    async def _release_again(self) -> None:
        now = anyio.current_time()
        claimed, self._claimed = {each: until for each, until in self._claimed.items() if until > now}, {}
        await self._release_or_keep(claimed)

    async def _room(self) -> int:
        """How many more envelopes the stream may hold: in all, and of those that no sender has fetched yet."""
        queue = await self._bus.sending_queue()
        rate = self._rate.update(anyio.current_time(), queue.handed_over)
        if queue.backlog.bytes >= self._limits.max_backlog_bytes:
            return 0
        max_fresh = max(2 * self._page_size(), int(rate * BACKLOG_SECONDS))
        return min(self._limits.max_backlog - queue.backlog.messages, max_fresh - queue.fresh)

    def _pages(self) -> int:
        """One for each worker, and one whose envelopes are being published."""
        return self._limits.workers + 1

    def _page_size(self) -> int:
        wanted = int(self._rate.value * BACKLOG_SECONDS / self._pages())
        return min(self._limits.page, max(MIN_PAGE, wanted))

    async def _work(self, page: list[Delivery], until: float) -> None:
        """Publishes the page. Deliveries that are not published when this ends return to the queue, and no attempt
        counts."""
        waiting = {delivery.id: delivery for delivery in page}
        try:
            with anyio.fail_after(until - anyio.current_time()):
                for chunk in await self._chunks(page):
                    await self._publish(chunk)
                    for delivery in chunk:
                        del waiting[delivery.id]
        except (KannonError, TimeoutError) as error:
            log.warning(
                "cannot publish a page; it returns to the queue", deliveries=len(waiting), why=str(error) or "timed out"
            )
        finally:
            self._unpublished -= len(page)
            self._page_done.set()
            await self._release_or_keep({each: anyio.current_time() + KEEP_SECONDS for each in waiting})

    async def _chunks(self, page: Sequence[Delivery]) -> list[list[Delivery]]:
        """At most CHUNK deliveries and CHUNK_BYTES each, the smallest batches first. A batch does not join much smaller
        ones, so that a single mail does not wait for the signing of a hundred mails of another batch."""
        by_batch: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in page:
            by_batch[delivery.message_id].append(delivery)
        sizes = await self._builder.estimate_bytes(by_batch.keys())
        parts: list[list[Delivery]] = []
        for message_id, deliveries in by_batch.items():
            count = max(1, min(CHUNK, CHUNK_BYTES // max(1, sizes[message_id])))
            parts += [deliveries[i : i + count] for i in range(0, len(deliveries), count)]
        chunks: list[list[Delivery]] = []
        chunk_bytes = 0
        for part in sorted(parts, key=len):
            part_bytes = len(part) * sizes[part[0].message_id]
            if (
                chunks
                and len(part) <= MIX_FACTOR * len(chunks[-1])
                and len(chunks[-1]) + len(part) <= CHUNK
                and chunk_bytes + part_bytes <= CHUNK_BYTES
            ):
                chunks[-1] += part
                chunk_bytes += part_bytes
            else:
                chunks.append(part)
                chunk_bytes = part_bytes
        return chunks

    async def _publish(self, chunk: Sequence[Delivery]) -> None:
        """Publishes and waits for the acks; the rows stay `sending`. A crash before this leaves claims that come back
        when their lease ends; a crash after it costs nothing, because the envelopes are in the stream."""
        now = self._clock()
        started = anyio.current_time()
        built = await self._builder.build(chunk, now)
        seconds = anyio.current_time() - started
        envelopes = [item for item in built if isinstance(item, Envelope)]
        await self._bus.publish_envelopes(envelopes)
        failures = [item for item in built if isinstance(item, BuildFailure)]
        self._metrics.built(len(envelopes), len(failures), seconds)
        self._metrics.dispatched([(self._clock() - e.due_at).total_seconds() for e in envelopes if e.attempt == 1])
        if failures:
            # A mail that cannot be built is deferred like one that cannot be sent: visible, retried, failed at last.
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
