"""What takes half a second to gather from all processes, kept for a moment, so that no page waits for it.

In: a call. Out: its latest answer at once, or None before the first; an old one starts the next call in the background.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from kannon.components.api.rpc import Refusal

Answer = TypeVar("Answer")
FRESH_SECONDS = 4.0
FORGET_SECONDS = 60.0


class Remembered(Generic[Answer]):
    def __init__(self, ask: Callable[[], Awaitable[Answer]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._answer: Answer | None = None
        self._at = float("-inf")
        self._running: asyncio.Task[None] | None = None

    def latest(self) -> Answer | None:
        age = self._clock() - self._at
        if age > FRESH_SECONDS and (self._running is None or self._running.done()):
            self._running = asyncio.create_task(self._refresh(), name="pages: gather")
        return self._answer if age <= FORGET_SECONDS else None

    async def _refresh(self) -> None:
        """Owned by this object; ends by itself, since every call has a time limit."""
        try:
            self._answer = await self._ask()
            self._at = self._clock()
        except Refusal:
            self._answer = None
