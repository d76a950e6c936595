"""Pages: what deliveries hand to a task of the sender's, a page at a time.

In: items, one by one. Out: pages of those that gathered. A page stays until it is removed, so what a cancelled run was
about to do is done by the next one.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Pages(Generic[T]):
    def __init__(self, size: int, *, gather_seconds: float = 0.0) -> None:
        """`gather_seconds`: from the first item after a pause to its page."""
        self._size = size
        self._gather_seconds = gather_seconds
        self._items: list[T] = []
        self._some = anyio.Event()

    def add(self, item: T) -> None:
        self._items.append(item)
        self._some.set()

    async def next(self) -> list[T]:
        """Waits for the first item; the same page again until it is removed."""
        if not self._items:
            self._some = anyio.Event()
            await self._some.wait()
            await anyio.sleep(self._gather_seconds)
        return self._items[: self._size]

    def remove(self, page: Sequence[T]) -> None:
        del self._items[: len(page)]
