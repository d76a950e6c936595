"""Many callers, one function: what runs at once, what waits, who fails, and what a cancelled caller leaves behind."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from kannon.accept.coalescer import MAX_BYTES, MAX_ITEMS, Coalescer
from kannon.errors import Conflict, NotFound, Throttled, Unavailable


class Stored:
    """A group function that doubles its numbers. Groups wait while `gate` is closed; `error` says what a group fails
    with."""

    def __init__(self, error: Callable[[Sequence[int]], Exception | None] = lambda items: None) -> None:
        self.groups: list[list[int]] = []
        self.reported: list[list[int]] = []
        self.gate = anyio.Event()
        self._error = error

    async def store(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        await self.gate.wait()
        error = self._error(items)
        if error is not None:
            raise error
        return [2 * item for item in items]

    async def report(self, results: Sequence[int]) -> None:
        self.reported.append(list(results))


class Callers:
    """Each call is a task; `outcome` has its result or its error."""

    def __init__(self, coalescer: Coalescer[int, int]) -> None:
        self.outcome: dict[int, int | Exception] = {}
        self._coalescer = coalescer

    async def call(self, item: int, size: int = 0) -> None:
        try:
            self.outcome[item] = await self._coalescer.call(item, size)
        except (NotFound, Unavailable) as error:
            self.outcome[item] = error


Start = Callable[..., Awaitable[Callable[[], None]]]


@asynccontextmanager
async def running(stored: Stored, *, patience_seconds: float = 1.5) -> AsyncIterator[tuple[Callers, Start]]:
    """With one worker. `start` begins calls and returns, when nothing moves any more, what cancels the first."""
    coalescer: Coalescer[int, int] = Coalescer(
        stored.store, after=stored.report, workers=1, patience_seconds=patience_seconds
    )
    callers = Callers(coalescer)
    async with anyio.create_task_group() as group:
        group.start_soon(coalescer.run)

        async def start(*items: int, size: int = 0) -> Callable[[], None]:
            scopes = [anyio.CancelScope() for _ in items]

            async def within(scope: anyio.CancelScope, item: int) -> None:
                with scope:
                    await callers.call(item, size)

            for scope, item in zip(scopes, items, strict=True):
                group.start_soon(within, scope, item)
            await anyio.wait_all_tasks_blocked()
            return scopes[0].cancel

        yield callers, start
        group.cancel_scope.cancel()


async def settled(callers: Callers, count: int) -> None:
    with anyio.fail_after(10):
        while len(callers.outcome) < count:
            await anyio.wait_all_tasks_blocked()


async def test_a_lone_call_does_not_wait_and_later_ones_form_the_next_group() -> None:
    stored = Stored()
    async with running(stored) as (callers, start):
        await start(1)
        assert stored.groups == [[1]]
        await start(2, 3, 4)
        assert stored.groups == [[1]]
        stored.gate.set()
        await settled(callers, 4)
    assert stored.groups == [[1], [2, 3, 4]]
    assert callers.outcome == {1: 2, 2: 4, 3: 6, 4: 8}
    assert stored.reported == [[2], [4, 6, 8]]


async def test_a_group_is_bounded_in_calls_and_in_bytes() -> None:
    stored = Stored()
    async with running(stored) as (callers, start):
        await start(0)
        await start(*range(1, MAX_ITEMS + 3))
        await start(*range(100, 105), size=MAX_BYTES // 2)
        stored.gate.set()
        await settled(callers, MAX_ITEMS + 8)
    assert [len(group) for group in stored.groups] == [1, MAX_ITEMS, 4, 2, 1]


@pytest.mark.parametrize("error", [NotFound("no such template"), Conflict("deadlock")], ids=["not found", "conflict"])
async def test_a_bad_item_fails_alone(error: Exception) -> None:
    stored = Stored(lambda items: error if 3 in items else None)
    async with running(stored) as (callers, start):
        await start(1)
        await start(2, 3, 4)
        stored.gate.set()
        await settled(callers, 4)
    assert callers.outcome == {1: 2, 2: 4, 3: error, 4: 8}
    assert stored.groups == [[1], [2, 3, 4], [2], [3], [4]]
    assert stored.reported == [[2], [4], [8]]


async def test_an_outage_ends_the_group_and_those_that_wait_and_nothing_later() -> None:
    """They would wait for the same time-out once more otherwise."""
    error = Unavailable("away")
    stored = Stored(lambda items: error if 2 in items else None)
    async with running(stored) as (callers, start):
        await start(2)
        await start(3, 4)
        stored.gate.set()
        await settled(callers, 3)
        await start(5)
        await settled(callers, 4)
    assert callers.outcome == {2: error, 3: error, 4: error, 5: 10}
    assert stored.groups == [[2], [5]]


async def test_an_outage_while_items_run_alone_ends_the_others() -> None:
    faults = {(2, 3, 4): NotFound("one of them"), (3,): Unavailable("away")}
    stored = Stored(lambda items: faults.get(tuple(items)))
    async with running(stored) as (callers, start):
        await start(1)
        await start(2, 3, 4)
        stored.gate.set()
        await settled(callers, 4)
    assert (callers.outcome[1], callers.outcome[2]) == (2, 4)
    assert callers.outcome[3] is callers.outcome[4] is faults[(3,)]


async def test_a_caller_that_leaves_before_its_group_runs_is_left_out() -> None:
    stored = Stored()
    async with running(stored) as (callers, start):
        await start(1)
        leave = await start(2)
        await start(3)
        leave()
        await anyio.wait_all_tasks_blocked()
        stored.gate.set()
        await settled(callers, 2)
    assert stored.groups == [[1], [3]]


async def test_a_caller_that_leaves_while_its_group_runs_takes_nothing_with_it() -> None:
    stored = Stored()
    async with running(stored) as (callers, start):
        leave = await start(1)
        leave()
        await start(2)
        stored.gate.set()
        await settled(callers, 1)
    assert (stored.groups, callers.outcome) == ([[1], [2]], {2: 4})
    assert stored.reported == [[2], [4]]


async def test_the_wait_for_a_worker_is_limited() -> None:
    stored = Stored()
    async with running(stored, patience_seconds=-1.0) as (callers, start):
        stored.gate.set()
        await start(1)
        await settled(callers, 1)
    assert isinstance(callers.outcome[1], Throttled)
    assert stored.groups == []


async def test_callers_end_with_the_workers() -> None:
    stored = Stored()
    ended = []

    async def call(coalescer: Coalescer[int, int], item: int) -> None:
        try:
            await coalescer.call(item)
        finally:
            ended.append(item)

    coalescer: Coalescer[int, int] = Coalescer(stored.store, workers=1)
    async with anyio.create_task_group() as calls, anyio.create_task_group() as workers:
        workers.start_soon(coalescer.run)
        for item in (1, 2):
            calls.start_soon(call, coalescer, item)
        await anyio.wait_all_tasks_blocked()
        workers.cancel_scope.cancel()
    assert sorted(ended) == [1, 2]
