"""The limiter: permits by priority, permits that expire, waiters that are shed."""

import asyncio

import anyio

from kannon.outbound.limiter import Limiter, Priority


def a_limiter(permits: int, waiters: int = 100) -> Limiter:
    return Limiter(permits, waiters)


def hang() -> "asyncio.Future[int]":
    return asyncio.get_running_loop().create_future()


async def test_unproven_destinations_cannot_use_every_permit() -> None:
    limiter = a_limiter(8)
    firsts = [limiter.acquire_now(Priority.FIRST) for _ in range(5)]
    assert [permit is not None for permit in firsts] == [True] * 4 + [False]
    assert limiter.acquire_now(Priority.FURTHER) is None
    assert sum(limiter.acquire_now(Priority.PROVEN) is not None for _ in range(9)) == 4
    assert limiter.in_use == 8


async def test_a_transaction_that_lasts_too_long_gives_its_permit_up() -> None:
    limiter = a_limiter(2)
    hanging = limiter.acquire_now(Priority.FIRST)
    assert hanging is not None
    assert limiter.acquire_now(Priority.FIRST) is None
    limiter.expire(before=hanging.since)
    second = limiter.acquire_now(Priority.FIRST)
    assert second is not None
    limiter.release(hanging)  # an expired permit is not given back a second time
    assert limiter.acquire_now(Priority.FIRST) is None
    limiter.release(second)
    assert limiter.in_use == 0


async def test_no_more_permits_expire_than_may_wait() -> None:
    limiter = a_limiter(2, waiters=6)
    for _ in range(5):
        permits = limiter.acquire_now(Priority.PROVEN), limiter.acquire_now(Priority.PROVEN)
        limiter.expire(before=float("inf"))
    assert permits == (None, None)
    assert limiter.in_use == 2


async def test_a_released_permit_goes_to_the_first_waiter() -> None:
    limiter = a_limiter(1)
    permit = limiter.acquire_now(Priority.PROVEN)
    assert permit is not None
    served: list[int] = []

    async def one(number: int) -> None:
        permit = await limiter.acquire(Priority.PROVEN)
        assert permit is not None
        served.append(number)
        limiter.release(permit)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(one, number)
            await anyio.wait_all_tasks_blocked()
        limiter.release(permit)
    assert served == [0, 1, 2]
    assert limiter.in_use == 0


async def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    limiter = a_limiter(1)
    limiter.acquire_now(Priority.PROVEN)
    for _ in range(3):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await limiter.acquire(Priority.PROVEN)
    assert not any(limiter._queues.values())
    assert not limiter.is_overloaded(50)


async def test_the_waiters_that_wait_longest_are_shed() -> None:
    now = 0.0
    limiter = Limiter(1, 4, lambda: now)
    shed: list[int] = []

    async def one(number: int) -> None:
        assert await limiter.wait(hang()) is None
        shed.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(one, number)
            await anyio.wait_all_tasks_blocked()
            now += 1.0
        assert limiter.is_overloaded(0)
        assert not a_limiter(1, 6).is_overloaded(3)
        limiter.shed(before=0.5)
        await anyio.wait_all_tasks_blocked()
        assert shed == [0]
        limiter.cancel_waiters()
    assert sorted(shed) == [0, 1, 2]
    assert await limiter.wait(hang()) is None  # none waits while the process stops
