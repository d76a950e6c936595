"""Reads new events once for all watchers of this process.

In: events of `stats`, as they are stored. Out: each watcher's share of them, in order. Without watchers PostgreSQL
is not asked. A watcher that lets MAX_WAITING events wait is cut, so that memory is bounded.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio
import structlog

from kannon.errors import Unavailable
from kannon.mail.event_filter import EventFilter, StoredEvent
from kannon.pb.stats.types.stats_pb2 import Stats
from kannon.wire.events import to_stats

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
PAGE = 1000
MAX_WAITING = 10_000
"""Events: at least two seconds at full speed, some MB that all watchers share."""

log = structlog.get_logger(__name__)

ReadEvents = Callable[[int, int], Awaitable[Sequence[StoredEvent]]]
"""Takes a position and a number of events; the events of all domains after it."""
ReadLast = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Encoded:
    position: int
    stats: Stats


@dataclass(slots=True)
class Watcher:
    """`upto`: it has, or has waiting, every event up to this position that it wants. `cut`: it reads too slowly."""

    wanted: EventFilter
    upto: int
    waiting: list[Encoded] = field(default_factory=list)
    cut: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self, seconds: float) -> None:
        """Until there are events, or it is cut, but not longer."""
        if not self.waiting and not self.cut:
            with anyio.move_on_after(seconds):
                await self.changed.wait()

    def take(self, most: int) -> list[Encoded]:
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        if not self.waiting:
            self.changed = anyio.Event()
        return taken


class EventTail:
    """`read_events` and `read_last` ask PostgreSQL; the second is cheap, and shows whether the first may find any."""

    def __init__(self, read_events: ReadEvents, read_last: ReadLast, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._read_events = read_events
        self._read_last = read_last
        self._poll_seconds = poll_seconds
        self._watchers: list[Watcher] = []
        self._watched = anyio.Event()
        self._head = 0

    @property
    def head(self) -> int:
        """Every watcher has what is stored up to here; 0 without watchers. All of it is visible to every reader."""
        return self._head if self._watchers else 0

    def join(self, watcher: Watcher) -> bool:
        """From now on it gets what is stored after its `upto`. False where others are ahead of it: it must first read
        up to them by itself."""
        if self._watchers and watcher.upto < self._head:
            return False
        if not self._watchers:
            self._head = watcher.upto
        self._watchers.append(watcher)
        self._watched.set()
        return True

    def leave(self, watcher: Watcher) -> None:
        self._watchers = [each for each in self._watchers if each is not watcher]
        if not self._watchers:
            self._watched = anyio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._watched.wait()
            try:
                await self.poll()
            except Unavailable as error:
                log.warning("cannot read new events; retrying", reason=str(error))
                await anyio.sleep(RETRY_SECONDS)
            await anyio.sleep(self._poll_seconds)

    async def poll(self) -> None:
        """Hands out what is new."""
        if await self._read_last() <= self._head:
            return
        while self._watchers:
            after = self._head
            page = await self._read_events(after, PAGE)
            if after != self._head:  # the last watcher left meanwhile, and another one begins elsewhere
                continue
            if page:
                self._hand_out(page)
                self._head = page[-1].position
            if len(page) < PAGE:
                return

    def _hand_out(self, page: Sequence[StoredEvent]) -> None:
        by_domain: dict[str, list[StoredEvent]] = {}
        for stored in page:
            by_domain.setdefault(stored.event.domain, []).append(stored)
        encoded: dict[int, Encoded] = {}
        for watcher in list(self._watchers):
            own = by_domain.get(watcher.wanted.domain, ()) if watcher.wanted.domain else page
            found = [s for s in own if s.position > watcher.upto and watcher.wanted.matches(s.event)]
            if len(watcher.waiting) + len(found) > MAX_WAITING:
                watcher.cut = True
                watcher.waiting = []
                self.leave(watcher)
                watcher.changed.set()
                continue
            for stored in found:
                if stored.position not in encoded:
                    encoded[stored.position] = Encoded(stored.position, to_stats(stored.event))
                watcher.waiting.append(encoded[stored.position])
            watcher.upto = max(watcher.upto, page[-1].position)
            if found:
                watcher.changed.set()
