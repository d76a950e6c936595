"""The limits of a destination hold for all senders together: two deliverers, their reports on a real nats-server."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.mail.destination import SenderView
from kannon.mail.verdict import Delivered, Stage, Verdict
from kannon.outbound import Deliverer
from tests.support.delivering import deliver_many, delivering
from tests.support.patience import patience
from tests.support.smtp_peer import Peer, Visit, serving

SECONDS = 0.05  # between two reports
LIMIT = 6


@asynccontextmanager
async def senders(peer: Peer, nats_url: str, count: int, **limit: float) -> AsyncIterator[list[Deliverer]]:
    """They have met, and report to each other."""
    zone = {("dest.test", "MX"): ["10 mx1.test."], ("mx1.test", "A"): ["127.0.0.1"]}
    limits = [{"mx": "test", "connections": LIMIT, **limit}]
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer, "127.0.0.1"))
        group = await stack.enter_async_context(anyio.create_task_group())
        deliverers = []
        for _ in range(count):
            deliverer = await stack.enter_async_context(delivering(zone, port=port, limits=limits))
            bus = Bus(nats_url)
            await bus.ready()
            stack.push_async_callback(bus.close)
            await bus.meet_senders(deliverer.report(), deliverer.hear)
            group.start_soon(partial(bus.report_to_senders, deliverer.report, deliverer.hear, seconds=SECONDS))
            deliverers.append(deliverer)
        yield deliverers
        group.cancel_scope.cancel()


def slow_peer() -> Peer:
    async def wait(_: Visit) -> str:
        await anyio.sleep(0.02)
        return "250 2.0.0 ok"

    return Peer(script={Stage.DOT: wait})


async def have_met(deliverers: list[Deliverer]) -> None:
    with patience():
        while any(deliverer.report().total == 0 for deliverer in deliverers):
            await anyio.sleep(SECONDS)


async def test_two_senders_divide_the_connections(nats_url: str) -> None:
    peer = slow_peer()
    verdicts: list[Verdict] = []
    most: dict[str, int] = {}

    async def send(deliverer: Deliverer, count: int) -> None:
        verdicts.extend(await deliver_many(deliverer, count))

    async with senders(peer, nats_url, 2) as (first, second), anyio.create_task_group() as group:
        group.start_soon(send, first, 150)
        with patience():
            while len(peer.mails) < 50:
                await anyio.sleep(SECONDS)
        group.start_soon(send, second, 150)
        with patience():
            while len(verdicts) < 300:
                for name, each in (("first", first), ("second", second)):
                    for destination in each.destinations():
                        most[name] = max(most.get(name, 0), destination.in_flight)
                await anyio.sleep(SECONDS / 5)
    assert all(isinstance(each, Delivered) for each in verdicts)
    assert len(peer.mails) == 300
    assert peer.most_open <= LIMIT + 2
    assert most["second"] >= LIMIT // 2


async def test_two_senders_keep_one_rate(nats_url: str) -> None:
    peer = Peer()
    async with senders(peer, nats_url, 2, rate_per_second=40) as deliverers, anyio.create_task_group() as group:
        for deliverer in deliverers:
            group.start_soon(deliver_many, deliverer, 60)
    assert len(peer.mails) == 120
    counts = [sum(1 for each in peer.arrivals if start <= each < start + 1) for start in peer.arrivals]
    assert max(counts) <= 44 + 2  # ten in a hundred, and one mail of each sender between two reports


async def test_a_sender_alone_starts_at_once_with_all_limits(nats_url: str) -> None:
    heard: list[SenderView] = []
    peer = slow_peer()
    async with senders(peer, nats_url, 1) as (deliverer,):
        bus = Bus(nats_url)
        await deliver_many(deliverer, 100)
        await bus.close()
    assert not heard
    assert peer.most_open == LIMIT


async def test_a_sender_that_starts_hears_of_the_others_before_its_first_mail(nats_url: str) -> None:
    async with senders(Peer(), nats_url, 1) as (deliverer,):
        bus = Bus(nats_url)
        await bus.ready()
        heard: list[SenderView] = []
        await bus.meet_senders(SenderView("late", (), 0), heard.append)
        await bus.close()
        assert [view.sender for view in heard] == [deliverer.report().sender]


@pytest.mark.parametrize("payload", [b"\xff\xff", b""])
async def test_a_report_that_cannot_be_read_changes_nothing(nats_url: str, payload: bytes) -> None:
    peer = slow_peer()
    async with senders(peer, nats_url, 1) as (deliverer,):
        bus = Bus(nats_url)
        await bus.ready()
        await bus._connection.send("kannon.senders", payload)
        await deliver_many(deliverer, 30)
        await bus.close()
    assert len(peer.mails) == 30
