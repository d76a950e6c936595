"""Many destinations, each with a scripted peer; mail to all of them as from the bus, and the time it takes."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from kannon.mail.verdict import Delivered, Stage, Verdict
from kannon.outbound import Deliverer, Throttled
from tests.support.delivering import delivering
from tests.support.dns_server import Zone
from tests.support.envelopes import an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Behaviour, Peer, free_port, serving

Bad = Mapping[int, tuple[Stage, Behaviour]]
"""Number of a destination → the stage at which it misbehaves, and its behaviour there."""


@asynccontextmanager
async def destinations(count: int, bad: Bad, **options: Any) -> AsyncIterator[tuple[Deliverer, list[Peer]]]:
    """d0.test …, each with a peer; the peers in `bad` are scripted. `options`: keys of [sender]."""
    port = free_port()
    zone: Zone = {}
    peers = []
    async with AsyncExitStack() as stack:
        for number in range(count):
            zone[f"d{number}.test", "MX"] = [f"10 mx{number}.test."]
            zone[f"mx{number}.test", "A"] = [f"127.5.0.{number + 1}"]
            peers.append(Peer(dict([bad[number]]) if number in bad else {}))
            await stack.enter_async_context(serving(peers[-1], f"127.5.0.{number + 1}", port))
        deliverer = await stack.enter_async_context(delivering(zone, port=port, **options))
        yield deliverer, peers


async def deliver_patiently(deliverer: Deliverer, to: str, room: anyio.CapacityLimiter) -> Verdict:
    """Repeats throttled mail, as the bus does; `room` limits the mails in flight."""
    while True:
        async with room:
            verdict = await deliverer.deliver(an_envelope(to))
        if not isinstance(verdict, Throttled):
            return verdict
        await anyio.sleep(verdict.retry_in)


@dataclass
class Run:
    """Seconds from queued to the 250 for the mail to good destinations, and for the last of it. `others` are the
    verdicts of the other mail until then."""

    seconds: list[float]
    others: list[Verdict]

    @property
    def p95(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 95 // 100]

    @property
    def took(self) -> float:
        return max(self.seconds)


async def run_of(deliverer: Deliverer, numbers: list[int], bad: Bad) -> Run:
    """One mail to each of these destinations, until the last mail to a good one is delivered."""
    room = anyio.CapacityLimiter(deliverer.capacity)
    began = time.monotonic()
    run = Run([], [])

    async def one(number: int) -> None:
        verdict = await deliver_patiently(deliverer, f"x@d{number}.test", room)
        if number in bad:
            run.others.append(verdict)
        else:
            assert isinstance(verdict, Delivered), verdict
            run.seconds.append(time.monotonic() - began)

    good = sum(number not in bad for number in numbers)
    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(one, number)
        await eventually(lambda: len(run.seconds) == good)
        group.cancel_scope.cancel()
    return run
