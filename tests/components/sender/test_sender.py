"""The sender between a real NATS and a scripted SMTP peer: events, acks, and no mail sent twice."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
import structlog.testing

from kannon.bus.bus import Bus
from kannon.bus.publish import Outgoing
from kannon.bus.streams import SENDING, STATS
from kannon.components.sender import Sender
from kannon.components.sender.inflight import REMEMBERED, Arrival, InFlight, InFlightEnvelope
from kannon.config import Dns
from kannon.config import Sender as Settings
from kannon.embedded import DataDir, EmbeddedNats
from kannon.errors import Unavailable
from kannon.mail.envelope import Envelope, RedeliveredEnvelope, ThrottledDelivery
from kannon.mail.event import Event, EventType
from kannon.mail.verdict import Stage, Verdict
from kannon.outbound import Deliverer, Throttled
from kannon.wire.envelopes import encode_envelope
from tests.support import smtp_peer
from tests.support.consume import events_of
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.patience import patience
from tests.support.smtp_peer import Peer, after, free_port, serving

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def a_sender(bus: Bus, port: int, **options: object) -> Sender:
    settings = {
        "hostname": "me.test",
        "routes": [{"domain": "*", "host": "127.0.0.1", "port": port}],
        "timeout_scale": 0.1,
        **options,
    }
    return Sender(Deliverer(Settings.model_validate(settings), Dns()), bus, clock=lambda: NOON)


@asynccontextmanager
async def running(sender: Sender) -> AsyncIterator[anyio.Event]:
    """Gives its `stop`, and sets it at the end."""
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: sender.run(stop, task_status=task_status))
        yield stop
        stop.set()


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """With a dispatcher: a sender asks one about each envelope that was in the stream before it."""
    bus = Bus(nats_url)
    await bus.ready()
    async with a_pool_that_waits(bus):
        yield bus
    await bus.close()


@asynccontextmanager
async def a_pool_that_waits(bus: Bus) -> AsyncIterator[None]:
    """Answers as a dispatcher without any outcome: each redelivered envelope may be sent."""

    async def find_closed(page: Sequence[RedeliveredEnvelope]) -> set[tuple[int, int]]:
        return set()

    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(bus.serve_dispatcher, find_closed, stop)
        yield
        stop.set()


async def drained(bus: Bus) -> None:
    """Until every envelope has been acked."""
    with patience():
        while (await bus.backlog()).messages:  # the condition is NATS's
            await anyio.sleep(0.01)


async def sent(bus: Bus, peer: Peer, *envelopes: Envelope, **options: object) -> list[Event]:
    """Sends them, and gives their outcomes in order of delivery id."""
    await bus.publish_envelopes(envelopes)
    async with serving(peer) as port, running(a_sender(bus, port, **options)):
        await drained(bus)
    return sorted(await events_of(bus, STATS, len(envelopes)), key=lambda event: event.delivery_id)


# -- events


async def test_a_delivered_mail(bus: Bus) -> None:
    peer = Peer()
    (event,) = await sent(bus, peer, an_envelope(delivery_id=7, attempt=3))
    assert event == Event(
        event_id="7.3.delivered",
        type=EventType.DELIVERED,
        domain="sender.test",
        message_id="msg_test@sender.test",
        email="b@dest.test",
        at=NOON,
        delivery_id=7,
        attempt=3,
        code=250,
        enhanced_status="2.0.0",
        text="queued as 1",
        host="127.0.0.1",
    )
    assert peer.mails == [BODY + b".\r\n"]


async def test_a_refused_mail_is_a_permanent_bounce(bus: Bus) -> None:
    (event,) = await sent(bus, Peer({Stage.RCPT: "550 5.1.1 no such user"}), an_envelope())
    assert (event.event_id, event.type, event.permanent) == ("1.1.bounced", EventType.BOUNCED, True)
    assert (event.code, event.enhanced_status, event.text) == (550, "5.1.1", "no such user")
    assert (event.stage, event.host) == ("rcpt", "127.0.0.1")


async def test_a_deferred_mail_is_an_error_with_the_servers_retry_time(bus: Bus) -> None:
    (event,) = await sent(bus, Peer({Stage.DOT: "451 4.7.1 greylisted, try again in 10 minutes"}), an_envelope())
    assert (event.event_id, event.type, event.permanent) == ("1.1.error", EventType.ERROR, False)
    assert (event.code, event.stage, event.retry_after_seconds) == (451, "dot", 600)


async def test_without_a_reply_the_code_is_0_and_the_text_says_where(bus: Bus) -> None:
    await bus.publish_envelopes([an_envelope()])
    async with running(a_sender(bus, free_port())):
        await drained(bus)
    (event,) = await events_of(bus, STATS, 1)
    assert (event.type, event.code, event.stage) == (EventType.ERROR, 0, "connect")
    assert event.text == "connect: 127.0.0.1: Connection refused"


@pytest.mark.parametrize(
    ("script", "name", "stage", "reply"),
    [
        ({}, "delivered", None, "250 2.0.0 queued as 1"),
        ({Stage.RCPT: "550 5.1.1 no such user"}, "bounced", "rcpt", "550 5.1.1 no such user"),
        ({Stage.DOT: "451 4.7.1 greylisted"}, "deferred", "dot", "451 4.7.1 greylisted"),
    ],
)
async def test_each_attempt_is_one_line_of_the_log(
    bus: Bus, script: dict[Stage, str], name: str, stage: str | None, reply: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        await sent(bus, Peer(script), an_envelope(delivery_id=7))
    [line] = [each for each in logs if "delivery" in each]
    assert (line["event"], line["log_level"], line.get("stage"), line["reply"]) == (name, "info", stage, reply)
    assert (line["batch"], line["delivery"], line["attempt"]) == ("msg_test@sender.test", 7, 1)
    assert (line["domain"], line["recipient"], line["host"]) == ("sender.test", "b@dest.test", "127.0.0.1")
    assert line["tls"] == "none"


async def test_many_mails_each_once(bus: Bus) -> None:
    peer = Peer()
    events = await sent(bus, peer, *(an_envelope(delivery_id=n) for n in range(1, 501)))
    assert [event.delivery_id for event in events] == list(range(1, 501))
    assert len(peer.mails) == 500


async def test_a_mail_larger_than_a_message_of_the_bus(bus: Bus) -> None:
    large = BODY + (b"y" * 76 + b"\r\n") * 30_000
    peer = Peer()
    (event,) = await sent(bus, peer, an_envelope(body=large))
    assert event.type is EventType.DELIVERED
    assert peer.mails == [large + b".\r\n"]
    assert (await bus.backlog("OBJ_kannon_bodies")).messages <= 1  # the mark of deletion
    assert (await bus.backlog("OBJ_kannon_bodies")).bytes < 10_000


async def test_a_message_that_is_no_envelope_becomes_a_dead_letter_and_the_others_are_sent(bus: Bus) -> None:
    await publish_raw(bus, b"\xff\xff\xff", "not an envelope")
    peer = Peer()
    (event,) = await sent(bus, peer, an_envelope())
    assert event.type is EventType.DELIVERED
    assert (await bus.backlog("kannon_parked")).messages == 1


async def publish_raw(bus: Bus, payload: bytes, msg_id: str) -> None:
    """Past the deduplication by delivery and attempt."""
    await bus._publish([Outgoing(SENDING, msg_id, payload)])


# -- throttled


async def test_mail_for_a_destination_that_is_down_waits_in_the_stream(bus: Bus) -> None:
    port = free_port()
    await bus.publish_envelopes([an_envelope(delivery_id=n) for n in range(1, 11)])
    peer = Peer()
    async with running(a_sender(bus, port)) as stop:
        events = await events_of(bus, STATS, 1)
        assert [event.type for event in events] == [EventType.ERROR]
        async with serving(peer, port=port):
            events += await events_of(bus, STATS, 9)
        stop.set()
    assert [event.type for event in events[1:]] == [EventType.DELIVERED] * 9
    assert len(peer.mails) == 9


# -- how much at once


async def test_the_bytes_in_flight_are_bounded_whatever_the_number_of_mails(bus: Bus) -> None:
    body = BODY + (b"y" * 76 + b"\r\n") * 13_000  # a megabyte
    await bus.publish_envelopes([an_envelope(delivery_id=n, body=body) for n in range(1, 61)])
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    async with serving(peer) as port:
        options = {"hostname": "me.test", "routes": [{"domain": "*", "host": "127.0.0.1", "port": port}]}
        deliverer = Deliverer(Settings.model_validate(options), Dns())
        sender = Sender(deliverer, bus, clock=lambda: NOON, max_bytes=20_000_000)
        async with running(sender):
            await eventually(lambda: len(peer.mails) == 2)
            held = [await held_by_the_sender(bus) for _ in range(200)]
            gate.set()
            while held[-1]:
                held.append(await held_by_the_sender(bus))
    assert len(peer.mails) == 60
    assert 8 <= max(held) <= 20


async def held_by_the_sender(bus: Bus) -> int:
    """How many envelopes the sender has in flight or requeued."""
    queue = await bus.sending_queue()
    return queue.backlog.messages - queue.fresh


# -- never twice


class Unruly(Bus):
    """A real bus that can refuse outcomes, and that records its calls in order."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.refuses = False
        self.deeds: list[str] = []
        self._send = self._connection.send
        self._connection.send = self._record  # type: ignore[method-assign]

    async def publish_events(self, events: Sequence[Event]) -> None:
        if self.refuses:
            self.deeds.append("refused")
            raise Unavailable("full")
        await super().publish_events(events)
        self.deeds += [f"recorded {event.delivery_id}" for event in events]

    async def _record(self, subject: str, payload: bytes) -> None:
        if subject.startswith("$JS.ACK."):
            self.deeds.append(payload.decode())
        await self._send(subject, payload)


@pytest.fixture
async def unruly(bus: Bus, nats_url: str) -> AsyncIterator[Unruly]:
    """`bus` has the dispatcher."""
    unruly = Unruly(nats_url)
    await unruly.ready()
    yield unruly
    await unruly.close()


async def test_the_outcome_is_recorded_before_the_envelope_is_acked(unruly: Unruly) -> None:
    peer = Peer()
    await unruly.publish_envelopes([an_envelope()])
    async with serving(peer) as port, running(a_sender(unruly, port)):
        await drained(unruly)
    assert unruly.deeds == ["recorded 1", "+ACK"]


async def test_while_outcomes_cannot_be_recorded_nothing_is_sent(unruly: Unruly) -> None:
    peer = Peer()
    unruly.refuses = True
    await unruly.publish_envelopes([an_envelope(delivery_id=1)])
    async with serving(peer) as port, running(a_sender(unruly, port)):
        await eventually(lambda: "refused" in unruly.deeds)
        await unruly.publish_envelopes([an_envelope(delivery_id=n) for n in range(2, 50)])
        await eventually(lambda: unruly.deeds.count("refused") > 2)
        assert len(peer.mails) == 1
        assert "+ACK" not in unruly.deeds
        unruly.refuses = False
        await drained(unruly)
    assert len(peer.mails) == 49
    assert sorted(deed for deed in unruly.deeds if deed.startswith("rec")) == sorted(
        f"recorded {n}" for n in range(1, 50)
    )


async def test_an_envelope_that_comes_again_after_its_outcome_is_acked_and_not_sent(bus: Bus) -> None:
    peer = Peer()
    envelope = an_envelope()
    await bus.publish_envelopes([envelope])
    async with serving(peer) as port, running(a_sender(bus, port)):
        await drained(bus)
        await publish_raw(bus, encode_envelope(envelope), "the same again")
        await drained(bus)
    assert len(peer.mails) == 1


async def test_an_envelope_that_comes_again_while_it_is_being_sent_joins_it(bus: Bus) -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    envelope = an_envelope()
    await bus.publish_envelopes([envelope])
    async with serving(peer) as port, running(a_sender(bus, port)):
        await eventually(lambda: len(peer.mails) == 1)
        await publish_raw(bus, encode_envelope(envelope), "the same again")
        await publish_raw(bus, encode_envelope(an_envelope(delivery_id=2)), "another")
        await eventually(lambda: len(peer.mails) == 2)  # so the one before it has come too
        gate.set()
        await drained(bus)
    assert len(peer.mails) == 2


async def test_another_attempt_is_another_mail(bus: Bus) -> None:
    peer = Peer()
    await sent(bus, peer, an_envelope(attempt=1), an_envelope(attempt=2))
    assert len(peer.mails) == 2


async def test_nats_going_away_in_the_middle_of_a_mail(tmp_path: Path) -> None:
    """The mail is finished and not sent again. Its outcome is recorded when NATS is back."""
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    with DataDir.open(tmp_path) as data_dir:
        nats = EmbeddedNats(data_dir.path)
        await nats.start()
        bus = Bus(nats.url)
        await bus.ready()
        await bus.publish_envelopes([an_envelope()])
        async with a_pool_that_waits(bus), serving(peer) as port, running(a_sender(bus, port)):
            await eventually(lambda: len(peer.mails) == 1)
            await nats.stop()
            gate.set()
            await eventually(lambda: peer.used[Stage.DOT] == 1)
            await nats.start()
            await reconnected(bus)
            await drained(bus)
        assert [event.event_id for event in await events_of(bus, STATS, 1)] == ["1.1.delivered"]
        await bus.close()
        await nats.stop()
        nats.close()
    assert len(peer.mails) == 1


@pytest.mark.parametrize("requeues", [0, 1])
async def test_an_outcome_that_nats_lost_with_its_store_is_published_again(requeues: int, tmp_path: Path) -> None:
    """The pool finds neither envelope nor outcome and publishes the envelope again. The mail has been sent."""
    peer = Peer()
    with DataDir.open(tmp_path) as data_dir:
        nats = EmbeddedNats(data_dir.path)
        await nats.start()
        bus = Bus(nats.url)
        await bus.ready()
        await bus.publish_envelopes([an_envelope()])
        async with a_pool_that_waits(bus), serving(peer) as port, running(a_sender(bus, port)):
            await drained(bus)
            await nats.stop()
            for store in data_dir.path.rglob("jetstream"):
                shutil.rmtree(store)
            await nats.start()
            await reconnected(bus)
            assert (await bus.backlog("kannon_stats")).messages == 0
            await bus.publish_envelopes([an_envelope(requeues=requeues)])
            await drained(bus)
        assert [event.event_id for event in await events_of(bus, STATS, 1)] == ["1.1.delivered"]
        await bus.close()
        await nats.stop()
        nats.close()
    assert len(peer.mails) == 1


async def reconnected(bus: Bus) -> None:
    with patience():
        while True:
            try:
                return await bus.ready()
            except Unavailable:
                await anyio.sleep(0.05)


# -- stopping


async def test_stop_lets_transactions_finish_and_requeues_the_others(bus: Bus) -> None:
    gate = asyncio.Event()
    peer = Peer(gate=gate)
    await bus.publish_envelopes([an_envelope(delivery_id=n) for n in range(1, 31)])
    async with serving(peer) as port, running(a_sender(bus, port)) as stop:
        await eventually(lambda: len(peer.mails) == 2)
        stop.set()
        await anyio.wait_all_tasks_blocked()
        gate.set()
    events = await events_of(bus, STATS, 2)
    assert {event.type for event in events} == {EventType.DELIVERED}
    assert len(peer.mails) == 2
    assert (await bus.backlog()).messages == 28
    # And they are there for the next one at once.
    async with a_pool_that_waits(bus), serving(peer) as port, running(a_sender(bus, port)):
        await drained(bus)
    assert len(peer.mails) == 30


async def test_cut_in_the_middle_of_a_mail_it_goes_on_at_the_next_run(bus: Bus) -> None:
    peer = Peer({Stage.RCPT: after(1, "250 ok", first=smtp_peer.hang)})
    async with serving(peer) as port:
        sender = a_sender(bus, port)
        await bus.publish_envelopes([an_envelope()])
        async with anyio.create_task_group() as group:
            await group.start(lambda *, task_status: sender.run(anyio.Event(), task_status=task_status))
            await eventually(lambda: peer.used[Stage.RCPT] == 1)
            group.cancel_scope.cancel()
        async with a_pool_that_waits(bus), running(sender):
            await drained(bus)
    assert len(peer.mails) == 1


# -- in flight


def test_the_memory_of_recorded_outcomes_is_bounded() -> None:
    in_flight = InFlight()
    event = Event("1.1.delivered", EventType.DELIVERED, "sender.test", "m", "b@dest.test", NOON)
    for number in range(REMEMBERED + 10):
        work = InFlightEnvelope((number, 1), 0, "", [])
        assert in_flight.add(work) is Arrival.NEW
        in_flight.recorded(work, event)
    assert in_flight.add(InFlightEnvelope((REMEMBERED, 1), 0, "", [])) is Arrival.RECORDED
    assert in_flight.add(InFlightEnvelope((3, 1), 0, "", [])) is Arrival.NEW


class Full(Deliverer):
    """Throttles every mail."""

    async def deliver(self, envelope: Envelope, held: Callable[[], bool] = lambda: True) -> Verdict | Throttled:
        return Throttled(30.0)


def a_full_sender(bus: Bus) -> Sender:
    return Sender(Full(Settings(), Dns()), bus, clock=lambda: datetime.now(UTC))


async def test_an_envelope_throttled_for_long_returns_to_the_pool(bus: Bus) -> None:
    got: list[list[ThrottledDelivery]] = []
    stop, heard = anyio.Event(), anyio.Event()

    async def take_it(page: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]]) -> None:
        got.append(page)
        await taken()
        heard.set()

    await bus.publish_envelopes([an_envelope(delivery_id=n) for n in (1, 2)])
    with patience():
        async with anyio.create_task_group() as group:
            group.start_soon(bus.take_throttled, take_it, stop)
            await bus.ping()
            await group.start(a_full_sender(bus).run, stop)
            await heard.wait()
            while (await bus.backlog()).messages:  # the acks follow the answer
                await anyio.sleep(0.01)
            stop.set()
    given_back = [p for page in got for p in page]
    expected = [ThrottledDelivery(n, 0, 30.0, domain="sender.test") for n in (1, 2)]
    assert sorted(given_back, key=lambda p: p.delivery_id) == expected


async def test_an_envelope_stays_in_the_stream_until_a_dispatcher_took_its_delivery_back(
    bus: Bus, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is there, then one whose database is away, then one that takes it: the commit comes before the ack."""
    monkeypatch.setattr("kannon.components.sender.throttled.RETRY_SECONDS", 0.05)
    asked = 0
    waiting: list[int] = []

    async def take_it(page: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]]) -> None:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise Unavailable("PostgreSQL: not connected")
        waiting.append((await bus.backlog()).messages)
        await taken()

    refused = anyio.Event()

    class Telling(Bus):
        async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None:
            try:
                await super().publish_throttled(page)
            except Unavailable:
                refused.set()
                raise

    telling = Telling(nats_url)
    await telling.ready()
    await bus.publish_envelopes([an_envelope()])
    stop = anyio.Event()
    with patience():
        async with a_pool_that_waits(bus), running(a_full_sender(telling)), anyio.create_task_group() as group:
            await refused.wait()
            assert (await bus.backlog()).messages == 1
            group.start_soon(bus.take_throttled, take_it, stop)
            await drained(bus)
            stop.set()
    assert asked >= 3
    assert waiting[0] == 1
    await telling.close()
