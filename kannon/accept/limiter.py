"""Admits large sends: a few at once, tenants alternate; the others wait in a bounded queue.

In: the domain of a tenant. Out: a place, held while the block runs. A send holds a database connection and much memory,
hence one tenant never has all places (unless there is only one), and a free place goes to the waiting tenant that has
the fewest. Raises LimitExceeded where the queue is full. The caller's deadline cancels the wait.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kannon.errors import LimitExceeded

PLACES = 4
"""Enough to keep PostgreSQL and the processor busy; each has one of the API's connections."""
WAITING = 200
"""Parsed requests below 2 MiB; bodies.LARGE_AT_ONCE bounds larger ones before they get here."""
WAITING_PER_TENANT = 50


class SendLimiter:
    """Safe for all tasks of one event loop."""

    def __init__(
        self, places: int = PLACES, *, waiting: int = WAITING, waiting_per_tenant: int = WAITING_PER_TENANT
    ) -> None:
        self._places = places
        self._per_tenant = max(1, places - 1)
        self._most_waiting = waiting
        self._most_waiting_per_tenant = waiting_per_tenant
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Waiting tenants, the next to be admitted first."""

    @asynccontextmanager
    async def place(self, tenant: str) -> AsyncIterator[None]:
        """Raises LimitExceeded."""
        await self._acquire(tenant)
        try:
            yield
        finally:
            self._release(tenant)

    async def _acquire(self, tenant: str) -> None:
        if self._has_room(tenant):  # no waiting tenant could have it: `_admit` has served all of those
            self._running[tenant] += 1
            return
        queue = self._waiting.get(tenant, deque())
        if len(queue) >= self._most_waiting_per_tenant:
            raise LimitExceeded(f'{len(queue)} large sends of "{tenant}" wait already; try again later')
        if sum(map(len, self._waiting.values())) >= self._most_waiting:
            raise LimitExceeded(f"{self._most_waiting} large sends wait already; try again later")
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, queue).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release(tenant)
            else:
                self._leave(tenant, waiter)
            raise

    def _release(self, tenant: str) -> None:
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._admit()

    def _has_room(self, tenant: str) -> bool:
        return self._running.total() < self._places and self._running[tenant] < self._per_tenant

    def _admit(self) -> None:
        while candidates := [tenant for tenant in self._waiting if self._has_room(tenant)]:
            tenant = min(candidates, key=lambda each: self._running[each])
            waiter = self._waiting[tenant][0]
            self._leave(tenant, waiter)
            if tenant in self._waiting:
                self._waiting.move_to_end(tenant)
            if not waiter.done():
                self._running[tenant] += 1
                waiter.set_result(None)

    def _leave(self, tenant: str, waiter: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(tenant)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._waiting[tenant]
