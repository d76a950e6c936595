"""Redelivered envelopes: the sender asks the other senders and a dispatcher before it sends one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.redelivered import Held
from kannon.bus.settle import Message
from kannon.bus.streams import OUTCOMES, SENDER
from kannon.components.dispatcher import Outcomes
from kannon.components.dispatcher.redelivered import RedeliveredEnvelopes
from kannon.db.pool import Database
from kannon.mail.envelope import RedeliveredEnvelope
from kannon.mail.event import Event, EventType
from tests.components.dispatcher.test_outcomes import BUDGET, outcome
from tests.components.sender.test_sender import a_sender, drained, running
from tests.support.envelopes import an_envelope
from tests.support.eventually import eventually
from tests.support.patience import patience
from tests.support.pool import insert_batch
from tests.support.smtp_peer import Peer, serving


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kannon.components.sender.redelivered.RETRY_SECONDS", 0.05)


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url)
    await bus.ready()
    yield bus
    await bus.close()


@asynccontextmanager
async def a_dispatcher(db: Database, bus: Bus) -> AsyncIterator[None]:
    """The parts that settle outcomes and answer."""
    stop = anyio.Event()
    outcomes = Outcomes(db, bus, budget=BUDGET, chance=lambda: 0.5)
    consume = partial(bus.consume, OUTCOMES, outcomes.handle_page, Limits(page=100, in_flight=100), stop=stop)
    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        group.start_soon(bus.serve_dispatcher, RedeliveredEnvelopes(db, bus).find_closed, stop)
        yield
        stop.set()


async def taken_by_a_sender_that_dies(bus: Bus, count: int) -> None:
    """The stream delivers them a second time; the end of the ack wait would do the same."""
    stop = anyio.Event()
    taken = 0

    async def handle(page: list[Message]) -> None:
        nonlocal taken
        for message in page:
            await message.nak(0)
        taken += len(page)
        if taken >= count:
            stop.set()

    with patience():
        await bus.consume(SENDER, handle, Limits(page=count, in_flight=count), stop=stop)


async def test_an_envelope_whose_outcome_another_process_recorded_is_not_sent_again(db: Database, bus: Bus) -> None:
    """One delivered, one deferred, one bounced; the fourth had no outcome when its sender died."""
    ids = await insert_batch(db, [f"a{n}@x.org" for n in range(4)], state="sending")
    await bus.publish_envelopes([an_envelope(delivery_id=each) for each in ids])
    await taken_by_a_sender_that_dies(bus, 4)
    kinds = [EventType.DELIVERED, EventType.ERROR, EventType.BOUNCED]
    await bus.publish_events([outcome(each, kind) for each, kind in zip(ids, kinds, strict=False)])
    peer = Peer()
    async with serving(peer) as port, running(a_sender(bus, port)):
        await anyio.sleep(0.2)  # the outcomes are not settled yet, so nothing may be sent
        assert not peer.mails
        async with a_dispatcher(db, bus):
            await drained(bus)
    assert len(peer.mails) == 1


async def test_without_a_dispatcher_nothing_is_sent_on_a_guess(db: Database, bus: Bus) -> None:
    ids = await insert_batch(db, ["a@x.org"], state="sending")
    await bus.publish_envelopes([an_envelope(delivery_id=ids[0]), an_envelope(delivery_id=10_000)])
    await taken_by_a_sender_that_dies(bus, 2)
    peer = Peer()
    async with serving(peer) as port, running(a_sender(bus, port)):
        await bus.publish_envelopes([an_envelope(delivery_id=10_001)])
        await eventually(lambda: len(peer.mails) == 1)  # the one that came for the first time
        await anyio.sleep(1.0)  # long enough for some questions
        assert len(peer.mails) == 1
        assert (await bus.backlog()).messages == 2
        async with a_dispatcher(db, bus):
            await drained(bus)
    assert len(peer.mails) == 2  # 10,000 is no delivery of the pool


async def test_an_envelope_from_before_this_process_is_asked_about(db: Database, bus: Bus) -> None:
    """As after a power cut: the mail was sent, its outcome is settled, and the stream counts no earlier delivery."""
    [waiting] = await insert_batch(db, ["a@x.org"], state="sending")
    await bus.publish_envelopes([an_envelope(delivery_id=waiting), an_envelope(delivery_id=10_000)])
    await bus.publish_events([outcome(waiting, EventType.DELIVERED)])
    peer = Peer()
    async with serving(peer) as port, running(a_sender(bus, port)), a_dispatcher(db, bus):
        await drained(bus)
    assert not peer.mails


async def test_an_envelope_that_the_pool_has_replaced_is_not_sent(db: Database, bus: Bus) -> None:
    [delivery] = await insert_batch(db, ["a@x.org"], state="sending")
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET turn = 1")
    await bus.publish_envelopes([an_envelope(delivery_id=delivery)])
    await taken_by_a_sender_that_dies(bus, 1)
    peer = Peer()
    async with serving(peer) as port, running(a_sender(bus, port)), a_dispatcher(db, bus):
        await drained(bus)
    assert not peer.mails


class Publishing(Bus):
    """Remembers the events that it published."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.published: list[str] = []

    async def publish_events(self, events: Sequence[Event]) -> None:
        await super().publish_events(events)
        self.published += [event.event_id for event in events]


async def test_a_sender_publishes_a_lost_outcome_again_when_another_asks(bus: Bus, nats_url: str) -> None:
    """NATS has lost its store, and the pool's new envelope went to a sender that has not sent the mail."""
    own = Publishing(nats_url)
    peer = Peer()
    async with serving(peer) as port, running(a_sender(own, port)):
        await bus.publish_envelopes([an_envelope()])
        await eventually(lambda: own.published == ["1.1.delivered"])
        with patience():
            assert await bus.ask_senders([RedeliveredEnvelope(1, 1, 0, 2)]) == {(1, 1): Held.RECORDED}
            assert await bus.ask_senders([RedeliveredEnvelope(1, 1, 1, 1)]) == {(1, 1): Held.RECORDED}
        await eventually(lambda: own.published == ["1.1.delivered"] * 2)
        with patience():
            assert await bus.ask_senders([RedeliveredEnvelope(1, 1, 1, 2)]) == {(1, 1): Held.RECORDED}
            # Delivered for the first time, though sent before: the stream has forgotten it.
            assert await bus.ask_senders([RedeliveredEnvelope(1, 1, 1, 1)]) == {(1, 1): Held.RECORDED}
        await eventually(lambda: own.published == ["1.1.delivered"] * 3)
    assert len(peer.mails) == 1
    await own.close()


async def test_a_sender_answers_for_what_it_has_in_flight_and_what_it_has_recorded(bus: Bus, nats_url: str) -> None:
    asking = Bus(nats_url)
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    question = [RedeliveredEnvelope(1, 1, 0, 2), RedeliveredEnvelope(2, 1, 0, 2)]
    async with serving(peer) as port, running(a_sender(bus, port)):
        await bus.publish_envelopes([an_envelope()])
        await eventually(lambda: len(peer.mails) == 1)
        with patience():
            assert await asking.ask_senders(question) == {(1, 1): Held.IN_FLIGHT}
            gate.set()
            await drained(bus)
            assert await asking.ask_senders(question) == {(1, 1): Held.RECORDED}
    with patience():
        assert await asking.ask_senders(question) == {}
    await asking.close()


async def test_an_envelope_that_was_requeued_is_asked_about_although_it_comes_for_the_first_time(
    bus: Bus, nats_url: str
) -> None:
    """NATS lost its store while another sender had the mail in flight; it has recorded the outcome since."""
    other, peer = Bus(nats_url), Peer()
    await other.ready()
    async with serving(peer) as port, running(a_sender(bus, port)), anyio.create_task_group() as group:
        group.start_soon(other.serve_senders, lambda asked: Held.RECORDED)
        with patience():
            while not await bus.ask_senders([RedeliveredEnvelope(1, 1, 1, 1)]):
                await anyio.sleep(0.01)
        await bus.publish_envelopes([an_envelope(requeues=1)])
        await drained(bus)
        await bus.publish_envelopes([an_envelope(delivery_id=2)])
        await drained(bus)
        group.cancel_scope.cancel()
    assert len(peer.mails) == 1
    await other.close()
