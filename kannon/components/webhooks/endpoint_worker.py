"""The work for one endpoint while this process leases it.

In: its due events, a page at a time. Out: signed requests, at most CONCURRENCY at once (one while it fails), and their
results. It ends when nothing is due, when a request failed (the endpoint then rests), and at the stop.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup
from standardwebhooks import Webhook

from kannon.db.webhook_outbox import QueuedEvent, RequestResult, Rescheduled
from kannon.errors import Unavailable
from kannon.mail.webhook import Attempt, Endpoint, WebhookType, make_request, next_attempt, rest_after
from kannon.outbound.http_post import Posted

log = structlog.get_logger()

CONCURRENCY = 4
PAGE = 200  # events of a read, or what CONCURRENCY requests take
_GONE = 410


class Slots:
    """The requests of a process at once. Endpoints that fail share a few of their own: however many hang, the others
    have theirs."""

    def __init__(self, working: int = 200, failing: int = 50) -> None:
        self._working = anyio.Semaphore(working)
        self._failing = anyio.Semaphore(failing)

    def of(self, *, failing: bool) -> anyio.Semaphore:
        return self._failing if failing else self._working


class Post(Protocol):
    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Posted: ...


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker needs of its process. The database's calls raise Unavailable."""

    list_due: Callable[[str, Collection[int], int], Awaitable[list[QueuedEvent]]]
    """Of an endpoint, except some that it has already, at most so many."""
    queue_replayed: Callable[[str], Awaitable[bool]]
    settle: Callable[[RequestResult], Awaitable[None]]
    post: Post
    slots: Slots
    clock: Callable[[], datetime]
    chance: Callable[[], float]
    ended: Callable[[Endpoint, Sequence[QueuedEvent], Posted, int], None]
    """After each request; the number of events whose last attempt it was."""


class EndpointWorker:
    """`run` once."""

    def __init__(self, endpoint: Endpoint, work: Work) -> None:
        self.endpoint = endpoint
        self._work = work
        self._limit = 1 if endpoint.failures else CONCURRENCY
        self._page = max(PAGE, CONCURRENCY * endpoint.max_batch)
        self._ended = False
        self._requests = 0
        self._busy: set[int] = set()  # read, and not settled yet
        self._changed = anyio.Event()

    def stop(self) -> None:
        """It begins no further request."""
        self._ended = True
        self._notify()

    async def run(self) -> None:
        """Returns when all its requests are settled."""
        ready: deque[Sequence[QueuedEvent]] = deque()
        async with anyio.create_task_group() as group:
            while not self._ended:
                if self._requests >= self._limit:
                    await self._change()
                elif ready:
                    self._start(group, ready.popleft())
                elif page := await self._read():
                    self._busy |= {each.id for each in page}
                    ready.extend(_split(page, self.endpoint.max_batch))
                elif self._busy:
                    await self._change()
                else:
                    return

    async def _read(self) -> list[QueuedEvent]:
        """Replayed events come into the outbox when nothing else is due."""
        try:
            page = await self._work.list_due(self.endpoint.id, self._busy, self._page)
            if not page and not self._busy and await self._work.queue_replayed(self.endpoint.id):
                page = await self._work.list_due(self.endpoint.id, self._busy, self._page)
        except Unavailable as error:
            log.warning("cannot read events of an endpoint", endpoint=self.endpoint.id, reason=str(error))
            self._ended = True
            return []
        return page

    def _start(self, group: TaskGroup, events: Sequence[QueuedEvent]) -> None:
        self._requests += 1
        group.start_soon(self._send, events)

    async def _send(self, events: Sequence[QueuedEvent]) -> None:
        """Order of effects: the endpoint answers, then the result is committed. A crash in between repeats the request
        with the same ids."""
        async with self._work.slots.of(failing=self._limit == 1):
            result = await self._post(events)
        self._requests -= 1
        self._notify()
        await self._work.settle(result)
        self._busy -= {each.id for each in events}
        self._notify()

    async def _post(self, events: Sequence[QueuedEvent]) -> RequestResult:
        endpoint, now = self.endpoint, self._work.clock()
        if not endpoint.secret:
            damaged = Posted(0, f"its secret is damaged: kannon webhooks rotate {endpoint.id}", "", 0.0)
            return self._result(events, damaged, "", now)
        request = make_request([each.event for each in events], batched=endpoint.max_batch > 1, now=now)
        headers = {
            "content-type": "application/json",
            "webhook-id": request.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(
                Webhook(secret).sign(request.id, now, request.body) for secret in _secrets(endpoint, now)
            ),
        }
        posted = await self._work.post(endpoint.url, headers, request.body.encode())
        return self._result(events, posted, request.id, now)

    def _result(self, events: Sequence[QueuedEvent], posted: Posted, request_id: str, now: datetime) -> RequestResult:
        endpoint = self.endpoint
        attempt = Attempt(
            endpoint_id=endpoint.id,
            at=now,
            request_id=request_id,
            type=events[0].event.type,
            events=len(events),
            status=posted.status,
            problem=posted.problem,
            milliseconds=round(posted.seconds * 1000),
            answer=posted.answer,
        )
        result = self._judge(events, attempt, posted)
        self._work.ended(endpoint, events, posted, len(result.given_up))
        return result

    def _judge(self, events: Sequence[QueuedEvent], attempt: Attempt, posted: Posted) -> RequestResult:
        if not posted.problem:
            return RequestResult(attempt, posted=[each.id for each in events])
        self._ended = True
        rescheduled, given_up = [], []
        now = self._work.clock()
        for each in events:
            at = next_attempt(each.attempts + 1, now, self._work.chance(), posted.retry_after)
            if at is None or each.event.type is WebhookType.ENDPOINT_TEST:
                given_up.append(each.id)
            else:
                rescheduled.append(Rescheduled(each.id, each.attempts + 1, at))
        rest = now + rest_after(self.endpoint.failures + 1, posted.retry_after)
        return RequestResult(attempt, (), rescheduled, given_up, rest, gone=posted.status == _GONE)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _change(self) -> None:
        await self._changed.wait()


def _secrets(endpoint: Endpoint, now: datetime) -> Iterator[str]:
    yield endpoint.secret
    if endpoint.previous_secret and endpoint.previous_until is not None and now < endpoint.previous_until:
        yield endpoint.previous_secret


def _split(page: Sequence[QueuedEvent], size: int) -> Iterator[Sequence[QueuedEvent]]:
    """At most `size` together; a test event alone, so that its id is the request's."""
    some: list[QueuedEvent] = []
    for each in page:
        if each.event.type is WebhookType.ENDPOINT_TEST:
            yield [each]
            continue
        some.append(each)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
