"""A destination without mail for a while is idle, not silent: a burst for it is throttled for a second at most."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio

from kannon.mail.verdict import Delivered, Verdict
from kannon.outbound import Deliverer, Throttled
from kannon.outbound.site.throughput import MOVING_SECONDS
from tests.support.delivering import delivering_to
from tests.support.envelopes import an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer

BURST = 100
INTO_THE_POOL_SECONDS = 5.0  # kannon.components.sender returns longer waits to the pool


class Clock:
    """Real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.passed


async def burst(deliverer: Deliverer, gate: asyncio.Event, done: Callable[[], bool]) -> list[Verdict | Throttled]:
    """All of it arrives before the peer accepts the first mail."""
    results: list[Verdict | Throttled] = []

    async def one() -> None:
        results.append(await deliverer.deliver(an_envelope()))

    async with anyio.create_task_group() as group:
        for _ in range(BURST):
            group.start_soon(one)
        await eventually(lambda: bool(results) and done())
        gate.set()
    return results


def throttled(results: list[Verdict | Throttled]) -> list[Throttled]:
    return [each for each in results if isinstance(each, Throttled)]


async def test_a_burst_after_an_idle_time_over_an_open_connection_returns_within_a_second() -> None:
    clock, gate = Clock(), asyncio.Event()
    peer = Peer()
    async with delivering_to(peer, clock=clock, timeout_scale=1) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
        assert deliverer.destinations()[0].connections == 1
        clock.passed += 2 * MOVING_SECONDS
        peer.gate = gate
        results = await burst(deliverer, gate, lambda: len(peer.mails) > 1)
    assert peer.connections <= 20
    assert sum(isinstance(each, Delivered) for each in results) > 20
    assert max(each.retry_in for each in throttled(results)) < 1.5


async def test_an_idle_time_beside_a_hanging_mail_is_no_silence() -> None:
    """One connection waits for a reply all the time, the others were idle."""
    clock, hanging, gate = Clock(), asyncio.Event(), asyncio.Event()
    peer = Peer(gate=hanging)
    async with AsyncExitStack() as stack:
        deliverer = await stack.enter_async_context(delivering_to(peer, clock=clock, timeout_scale=1))
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(deliverer.deliver, an_envelope())
        await eventually(lambda: len(peer.mails) == 1)
        peer.gate = None
        clock.passed += 1.0
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
        clock.passed += 2 * MOVING_SECONDS
        peer.gate = gate
        results = await burst(deliverer, gate, lambda: len(peer.mails) > 2)
        hanging.set()
    assert sum(isinstance(each, Delivered) for each in results) > 20
    assert max(each.retry_in for each in throttled(results)) < 1.5


async def test_after_a_pause_of_the_bus_no_mail_is_throttled_into_the_pool() -> None:
    """No envelope arrives for a while, then many at once."""
    clock, gate = Clock(), asyncio.Event()
    peer = Peer()
    async with delivering_to(peer, clock=clock, timeout_scale=1) as deliverer:
        for _ in range(3):
            await asyncio.gather(*(deliverer.deliver(an_envelope()) for _ in range(15)))
            clock.passed += 2 * MOVING_SECONDS
        peer.gate = gate
        results = await burst(deliverer, gate, lambda: deliverer.destinations()[0].in_flight > 1)
    assert all(each.retry_in < INTO_THE_POOL_SECONDS for each in throttled(results))


async def test_a_destination_that_was_asked_and_shows_nothing_is_throttled_for_long() -> None:
    """The opposite case: mail has waited for it all the time."""
    clock, gate = Clock(), asyncio.Event()
    peer = Peer(gate=gate)
    async with AsyncExitStack() as stack:
        deliverer = await stack.enter_async_context(delivering_to(peer, clock=clock, timeout_scale=1))
        group = await stack.enter_async_context(anyio.create_task_group())
        for _ in range(2):
            group.start_soon(deliverer.deliver, an_envelope())
        await eventually(lambda: len(peer.mails) == 2)
        clock.passed += 2 * MOVING_SECONDS
        results = await burst(deliverer, gate, lambda: deliverer.destinations()[0].waiting > 0)
    assert max(each.retry_in for each in throttled(results)) > INTO_THE_POOL_SECONDS
