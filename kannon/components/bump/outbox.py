"""The outbox of events: an HTTP answer waits for the bus no longer than `WAIT_SECONDS`.

In: one event at a time. Out: the same events in bursts. While the bus is away they wait here, in a bounded queue, and
are published later under the same ids; at the stop `run` publishes the rest before it returns. A crash loses the events
that the bus had not stored within `WAIT_SECONDS`.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import anyio
import structlog

from kannon.errors import Unavailable
from kannon.mail.event import Event

log = structlog.get_logger()

WAIT_SECONDS = 1.0
MAX_WAITING = 50_000  # about 50 MB
_BURST = 500
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 5.0


class Bus(Protocol):
    async def publish_events(self, events: Sequence[Event]) -> None: ...


class Outbox:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: deque[tuple[Event, anyio.Event]] = (
            deque()
        )  # each with the event that is set once it is published
        self._wake = anyio.Event()
        self._closed = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, event: Event) -> bool:
        """True when the bus has stored the event; False after WAIT_SECONDS. It then waits here, unless there is no
        room."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            if self.dropped % 1000 == 1:
                log.error("outbox is full; events dropped", dropped=self.dropped)
            return False
        published = anyio.Event()
        self._waiting.append((event, published))
        self._wake.set()
        with anyio.move_on_after(WAIT_SECONDS):
            await published.wait()
        return published.is_set()

    def close(self) -> None:
        """No further events come; `run` returns once it has published the rest."""
        self._closed = True
        self._wake.set()

    async def run(self) -> None:
        """Runs until closed and empty. When cancelled, keeps events without an acknowledgement for the next run."""
        self._closed = False
        while True:
            if not self._waiting:
                if self._closed:
                    return
                self._wake = anyio.Event()
                await self._wake.wait()
                continue
            burst = list(islice(self._waiting, _BURST))
            await self._publish([event for event, _ in burst])
            for _, published in burst:
                self._waiting.popleft()
                published.set()

    async def _publish(self, burst: list[Event]) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._bus.publish_events(burst)
            except Unavailable as error:
                log.warning("cannot publish events; retrying", waiting=len(self._waiting), reason=str(error))
                await anyio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE)
            else:
                return
