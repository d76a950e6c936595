"""A sender that was frozen: other senders may have its envelopes, so it writes no final dot for them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kannon.bus.bus import Bus
from kannon.bus.streams import ACK_WAIT_SECONDS, STATS
from kannon.components.sender import Sender
from kannon.components.sender.freezes import FROZEN_SECONDS, FreezeWatch
from kannon.config import Dns
from kannon.config import Sender as Settings
from kannon.mail.event import EventType
from kannon.mail.verdict import Delivered, Stage
from kannon.outbound import Deliverer, Throttled
from tests.components.sender.test_sender import NOON, a_pool_that_waits, drained, running
from tests.support.consume import events_of
from tests.support.delivering import delivering_to
from tests.support.envelopes import an_envelope
from tests.support.eventually import eventually
from tests.support.smtp_peer import Peer, Visit, serving


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url)
    await bus.ready()
    async with a_pool_that_waits(bus):
        yield bus
    await bus.close()


def a_sender(bus: Bus, port: int, clock: Clock, *, alone: bool) -> Sender:
    route = {"domain": "*", "host": "127.0.0.1", "port": port}
    settings = Settings.model_validate({"hostname": "me.test", "routes": [route]})
    return Sender(Deliverer(settings, Dns()), bus, clock=lambda: NOON, alone=alone, boot_clock=clock)


class SlowToTakeData:
    """The 354 waits for `go`."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, visit: Visit) -> str | None:
        self.asked.set()
        await self.go.wait()
        return None


@pytest.mark.parametrize(("alone", "frozen"), [(False, True), (False, False), (True, True)])
async def test_no_final_dot_follows_a_freeze(bus: Bus, *, alone: bool, frozen: bool) -> None:
    """The mail goes back to the stream and out once. A sender without others goes on with it."""
    clock, data = Clock(), SlowToTakeData()
    peer = Peer({Stage.DATA: data})
    async with serving(peer) as port, running(a_sender(bus, port, clock, alone=alone)):
        await bus.publish_envelopes([an_envelope()])
        await data.asked.wait()
        clock.now += ACK_WAIT_SECONDS if frozen else FROZEN_SECONDS
        data.go.set()
        await drained(bus)
        await eventually(lambda: len(peer.mails) == 1)
    assert peer.connections == (2 if frozen and not alone else 1)
    assert [event.type for event in await events_of(bus, STATS, 1)] == [EventType.DELIVERED]


async def test_envelopes_that_came_during_a_freeze_are_asked_about(bus: Bus) -> None:
    """NATS may have delivered them to another sender since."""
    clock, peer = Clock(), Peer()
    async with serving(peer) as port:
        sender = a_sender(bus, port, clock, alone=False)
        async with running(sender):
            await bus.publish_envelopes([an_envelope()])
            await drained(bus)
            older = sender._older_until
            clock.now += ACK_WAIT_SECONDS
            await bus.publish_envelopes([an_envelope(delivery_id=2)])
            await drained(bus)
            await eventually(lambda: len(peer.mails) == 2)
    assert sender._older_until > older


async def test_a_large_mail_lacks_its_last_block() -> None:
    """The freeze comes while the body is being written."""
    held, read = [True], asyncio.Event()

    async def stop_reading(visit: Visit) -> str | None:
        transport = visit.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]  # typed as a WriteTransport, which it is too

        async def go_on() -> None:
            await read.wait()
            transport.resume_reading()  # type: ignore[attr-defined]  # as above

        visit.peer.tasks.add(asyncio.create_task(go_on()))
        return None

    peer = Peer({Stage.DATA: stop_reading})
    body = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n"
    body += (b"y" * 78 + b"\r\n") * 200_000
    async with delivering_to(peer) as deliverer:

        async def freeze() -> None:
            await eventually(lambda: peer.used[Stage.DATA] == 1)
            await asyncio.sleep(0.1)
            held[0] = False
            read.set()

        freezing = asyncio.create_task(freeze())
        verdict = await deliverer.deliver(an_envelope(body=body), lambda: held[0])
        await freezing
        assert isinstance(verdict, Throttled)
        assert peer.mails == []
        held[0] = True
        peer.script = {}
        assert isinstance(await deliverer.deliver(an_envelope(body=body), lambda: held[0]), Delivered)
    assert len(peer.mails) == 1


def test_a_freeze_is_counted_once_by_whoever_looks_first() -> None:
    clock = Clock()
    watch = FreezeWatch(clock)
    for seconds, count in ((FROZEN_SECONDS, 0), (FROZEN_SECONDS + 0.1, 1), (1.0, 1), (3600.0, 2), (0.0, 2)):
        clock.now += seconds
        assert watch.count() == count
