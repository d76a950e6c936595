"""Runs one function for the items of many concurrent callers, a group at a time (group commit).

In: an item for each caller, and its size in bytes. Out: its result or error. A lone item does not wait: a free worker
takes it at once. Items that arrive while all workers are busy form the next group. Where a group fails because of one
item, each of its items runs alone, so that only the bad one fails.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from kannon.errors import Conflict, Throttled, Unavailable

WORKERS = 2
"""One prepares a group while PostgreSQL commits the other's."""
MAX_ITEMS = 64
MAX_BYTES = 1 << 20
PATIENCE_SECONDS = 1.5  # the wait for a worker, as long as the wait of a prompt call for a connection

Item = TypeVar("Item")
Result = TypeVar("Result")


async def _nothing(results: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Call(Generic[Item, Result]):
    item: Item
    size: int
    arrived: float
    result: "asyncio.Future[Result]"


class Coalescer(Generic[Item, Result]):
    """`run_group` takes items of distinct callers and returns their results in the same order; it stores all of them or
    none. `after` has the results of each group, once their callers have them, also where a caller is gone by then."""

    def __init__(
        self,
        run_group: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        after: Callable[[Sequence[Result]], Awaitable[None]] = _nothing,
        workers: int = WORKERS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._run_group = run_group
        self._after = after
        self._workers = workers
        self._patience_seconds = patience_seconds
        self._waiting: asyncio.Queue[_Call[Item, Result]] = asyncio.Queue()

    async def call(self, item: Item, size: int = 0) -> Result:
        """Raises what `run_group` raises for this item. A cancelled caller whose group runs already has its item stored
        nevertheless."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()
        self._waiting.put_nowait(_Call(item, size, loop.time(), result))
        return await result

    async def run(self) -> None:
        """Until cancelled; the remaining callers are cancelled with it."""
        try:
            async with anyio.create_task_group() as group:
                for _ in range(self._workers):
                    group.start_soon(self._work)
        finally:
            for call in self._take_waiting():
                call.result.cancel()

    async def _work(self) -> None:
        while True:
            group = await self._next_group()
            try:
                await self._serve(group)
            except Unavailable as error:
                # Those that wait have spent their time on the same outage.
                _fail([*group, *self._take_waiting()], error)
            finally:
                for call in group:
                    call.result.cancel()

    async def _next_group(self) -> list[_Call[Item, Result]]:
        group: list[_Call[Item, Result]] = []
        size = 0
        call = await self._waiting.get()
        while True:
            if asyncio.get_running_loop().time() - call.arrived > self._patience_seconds:
                _fail([call], Throttled(f"{self._waiting.qsize()} calls wait to be stored"))
            if not call.result.done():
                group.append(call)
                size += call.size
            if len(group) == MAX_ITEMS or size >= MAX_BYTES or self._waiting.empty():
                return group
            call = self._waiting.get_nowait()

    async def _serve(self, group: Sequence[_Call[Item, Result]]) -> None:
        """Raises Unavailable; the group's other errors go to its callers."""
        if not group:
            return
        try:
            results = await self._run_group([call.item for call in group])
        except Exception as error:
            if isinstance(error, Unavailable) and not isinstance(error, Conflict):
                raise
            if len(group) == 1:
                _fail(group, error)
            else:
                for call in group:
                    await self._serve([call])
            return
        for call, result in zip(group, results, strict=True):
            if not call.result.done():
                call.result.set_result(result)
        await self._after(results)

    def _take_waiting(self) -> list[_Call[Item, Result]]:
        return [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]


def _fail(calls: Sequence[_Call[Item, Result]], error: Exception) -> None:
    for call in calls:
        if not call.result.done():
            call.result.set_exception(error)
            call.result.exception()  # asyncio reports an error that is never looked at: the caller may be gone
