"""How many transactions run at once in this process, and that those of unproven destinations cannot take all places.

In: `take` before a mail is sent, `free` after. A destination is proven while it has taken mail lately; all others
together have half of the places, so peers that hang in the middle of a mail leave the other half to those that do not.
"""

import asyncio
from collections import deque


class Slots:
    def __init__(self, total: int) -> None:
        self._limit = {True: total, False: max(1, total // 2)}
        self._taken = {True: 0, False: 0}
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @property
    def taken(self) -> int:
        return self._taken[True] + self._taken[False]

    def take_now(self, *, proven: bool) -> bool:
        if self._waiting[proven] or not self._room(proven):
            return False
        self._taken[proven] += 1
        return True

    async def take(self, *, proven: bool) -> bool:
        """First come, first served, within each kind."""
        if self.take_now(proven=proven):
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[proven].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.free(proven=proven)
            raise
        return True

    def free(self, *, proven: bool) -> None:
        self._taken[proven] -= 1
        for kind in (proven, not proven):
            while self._waiting[kind] and self._room(kind):
                turn = self._waiting[kind].popleft()
                if not turn.done():
                    self._taken[kind] += 1
                    turn.set_result(None)

    def _room(self, proven: bool) -> bool:
        return self.taken < self._limit[True] and self._taken[proven] < self._limit[proven]
