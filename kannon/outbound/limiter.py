"""The one limiter of the sender process: how many mails are in transactions, by priority, and how many wait.

In: `acquire` before a transaction and `release` after it; `wait` around every other wait of a delivery (DNS, another
host). Out: a `Permit`, or None for a waiter that was shed. Proven destinations may use every permit. All other
destinations together get half of them, and a quarter when one of them wants a second, so the rest is always free for
destinations that accept mail. A transaction that lasts longer than the owner allows gives its permit up, as many as may
wait: a peer may hang for ten minutes (RFC 5321 §4.5.3.2.6), which costs a socket and no work.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import anyio

T = TypeVar("T")


class Priority(Enum):
    """The value is the share of all permits up to which the unproven destinations may use them."""

    PROVEN = 1.0
    FIRST = 0.5  # the only mail in flight to an unproven destination
    FURTHER = 0.25  # another mail to it


@dataclass(slots=True, eq=False)
class Permit:
    priority: Priority
    since: float
    expired: bool = False


class Limiter:
    """`waiters`: as many may wait. More than half of them is an overload, and the owner sheds the oldest."""

    def __init__(self, permits: int, waiters: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max = permits
        self._max_waiters = waiters
        self._clock = clock
        self._permits: dict[Permit, None] = {}  # in order of `since`
        self._unproven = 0
        self._expired = 0
        self._queues: dict[Priority, deque[asyncio.Future[Permit]]] = {priority: deque() for priority in Priority}
        self._waiters: dict[anyio.CancelScope, float] = {}  # with the time since when, in its order
        self.stopping = False  # True: `wait` returns None at once

    @property
    def capacity(self) -> int:
        """Deliveries that may be under way at once, waiting or not."""
        return self._max + self._max_waiters

    @property
    def in_use(self) -> int:
        """Without expired permits."""
        return len(self._permits)

    def acquire_now(self, priority: Priority) -> Permit | None:
        return None if self._queues[priority] or not self._has_room(priority) else self._grant(priority)

    async def acquire(self, priority: Priority) -> Permit | None:
        """First come, first served within a priority. None: shed."""
        return self.acquire_now(priority) or await self.wait(self._queue(priority))

    def release(self, permit: Permit) -> None:
        if permit.expired:
            self._expired -= 1
        else:
            self._remove(permit)
            self._grant_next()

    def expire(self, before: float) -> None:
        """Permits granted at `before` or earlier no longer count."""
        while self._permits and self._expired < self._max_waiters:
            oldest = next(iter(self._permits))
            if oldest.since > before:
                break
            self._remove(oldest)
            oldest.expired = True
            self._expired += 1
        self._grant_next()

    async def wait(self, awaitable: Awaitable[T]) -> T | None:
        """The result of `awaitable`, or None when this waiter is shed, which cancels it."""
        with anyio.CancelScope() as scope:
            self._waiters[scope] = self._clock()
            if self.stopping:
                scope.cancel()
            try:
                return await awaitable
            finally:
                del self._waiters[scope]
        return None

    def is_overloaded(self, others: int) -> bool:
        """`others` wait elsewhere: in the queues of their destinations."""
        return len(self._waiters) + others > self._max_waiters // 2

    def shed(self, before: float) -> None:
        """Waiters since `before` or longer."""
        for scope, since in self._waiters.items():
            if since > before:
                break
            scope.cancel()

    def cancel_waiters(self) -> None:
        """All of them, and every later one: the process stops."""
        self.stopping = True
        for scope in self._waiters:
            scope.cancel()

    async def _queue(self, priority: Priority) -> Permit:
        granted: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._queues[priority].append(granted)
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(granted.result())
            elif granted in self._queues[priority]:  # while all permits hang, thousands of waiters come and go
                self._queues[priority].remove(granted)
            raise

    def _has_room(self, priority: Priority) -> bool:
        if len(self._permits) >= self._max:
            return False
        return priority is Priority.PROVEN or self._unproven < max(1, int(self._max * priority.value))

    def _grant(self, priority: Priority) -> Permit:
        permit = Permit(priority, self._clock())
        self._permits[permit] = None
        self._unproven += priority is not Priority.PROVEN
        return permit

    def _remove(self, permit: Permit) -> None:
        del self._permits[permit]
        self._unproven -= permit.priority is not Priority.PROVEN

    def _grant_next(self) -> None:
        for priority, queue in self._queues.items():
            while queue and self._has_room(priority):
                granted = queue.popleft()
                if not granted.done():
                    granted.set_result(self._grant(priority))
