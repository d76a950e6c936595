"""The bus on a real nats-server: bursts, repeats, pages, naks, dead letters, large bodies, drift."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import nats
import pytest

from kannon.bus import consume, streams
from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.settle import Message
from kannon.embedded import DataDir, EmbeddedNats
from kannon.errors import OperatorError, Poison, Unavailable
from kannon.mail.envelope import Envelope, ThrottledDelivery
from kannon.mail.event import Event, EventType
from kannon.wire.envelopes import parse_envelope
from kannon.wire.event_pages import MAX_EVENTS
from tests.support.consume import events_of, take
from tests.support.patience import patience

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def event(number: int, kind: EventType = EventType.DELIVERED) -> Event:
    return Event(f"e{number}", kind, "example.com", "msg_1@example.com", "a@example.org", NOW, delivery_id=number)


def envelope(number: int, body: bytes = b"Subject: x\r\n\r\nx\r\n") -> Envelope:
    return Envelope(number, "msg_1@example.com", "example.com", "b-1@example.com", "a@example.org", body, 1, NOW)


async def test_events_reach_every_consumer_of_their_subject_and_no_other(bus: Bus) -> None:
    await bus.publish_events([event(1), event(2, EventType.OPENED), event(3, EventType.ERROR)])
    stats = await events_of(bus, streams.STATS, 3)
    outcomes = await events_of(bus, streams.OUTCOMES, 2)
    assert stats == [event(1), event(2, EventType.OPENED), event(3, EventType.ERROR)]
    assert [e.delivery_id for e in outcomes] == [1, 3]


async def test_a_repeated_burst_is_stored_once(bus: Bus) -> None:
    events = [event(n) for n in range(3000)]
    await bus.publish_events(events)
    await bus.publish_events(events)
    assert (await bus.backlog("kannon_stats")).messages == 3000 // MAX_EVENTS


async def test_acknowledged_messages_leave_the_stream(bus: Bus) -> None:
    await bus.publish_envelopes([envelope(n) for n in range(50)])
    before = await bus.backlog()
    assert (before.messages, before.age is not None) == (50, True)
    await take(bus, streams.SENDER, 50)
    with patience():
        while (await bus.backlog()).messages:
            await anyio.lowlevel.checkpoint()
    assert (await bus.backlog()).age is None


async def test_a_full_stream_refuses_and_drops_nothing(bus: Bus, nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    config = (await js.stream_info("kannon_sending")).config
    await js.update_stream(config, max_msgs=10)
    with pytest.raises(Unavailable, match="maximum messages exceeded"):
        await bus.publish_envelopes([envelope(n) for n in range(20)])
    taken = await take(bus, streams.SENDER, 10)
    assert [int(parse_envelope(m.payload).email_id) for m in taken] == list(range(10))
    await client.close()


async def test_nak_delays_one_message_and_its_neighbours_go_on(bus: Bus) -> None:
    await bus.publish_envelopes([envelope(n) for n in range(3)])
    order: list[str] = []
    stop = anyio.Event()

    async def handle(page: list[Message]) -> None:
        for message in page:
            number = parse_envelope(message.payload).email_id
            if number == "0" and message.num_delivered == 1:
                await message.nak(0.05)
            else:
                order.append(number)
                await message.ack()
        if len(order) == 3:
            stop.set()

    with patience():
        await bus.consume(streams.SENDER, handle, Limits(page=10, in_flight=10), stop=stop)
    assert order == ["1", "2", "0"]


async def test_no_more_messages_are_unsettled_than_allowed(bus: Bus) -> None:
    await bus.publish_envelopes([envelope(n) for n in range(100)])
    stop = anyio.Event()
    unsettled: set[int] = set()
    most = done = 0

    async def settle(message: Message) -> None:
        nonlocal most, done
        unsettled.add(id(message))
        most = max(most, len(unsettled))
        await anyio.lowlevel.checkpoint()
        unsettled.discard(id(message))
        await message.ack()
        done += 1
        if done == 100:
            stop.set()

    async def handle(page: list[Message]) -> None:
        async with anyio.create_task_group() as group:
            for message in page:
                group.start_soon(settle, message)

    with patience():
        await bus.consume(streams.SENDER, handle, Limits(page=10, in_flight=16, pages_at_once=16), stop=stop)
    assert 1 < most <= 16


async def test_a_message_that_a_handler_can_never_handle_becomes_a_dead_letter_and_its_page_goes_on(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.bus.consume.RETRY_SECONDS", 0.01)
    await bus.publish_envelopes([envelope(n) for n in range(20)])
    handled: set[str] = set()
    stop = anyio.Event()

    async def handle(page: list[Message]) -> None:
        for message in page:
            number = parse_envelope(message.payload).email_id
            if number == "7":
                raise ValueError("seven")
            handled.add(number)
            await message.ack()

    async def until_stored() -> None:
        while (await bus.backlog("kannon_parked")).messages == 0:
            await anyio.lowlevel.checkpoint()
        stop.set()

    with patience():
        async with anyio.create_task_group() as group:
            group.start_soon(until_stored)
            await bus.consume(streams.SENDER, handle, Limits(page=20, in_flight=20), stop=stop)
    assert handled == {str(n) for n in range(20)} - {"7"}


async def test_a_body_over_max_payload_goes_through_the_object_store(bus: Bus) -> None:
    body = b"x" * 998 + b"\r\n"
    large = envelope(1, body * 20_000)
    await bus.publish_envelopes([large])
    [message] = await take(bus, streams.SENDER, 1)
    parsed = parse_envelope(message.payload)
    assert parsed.body == b""
    assert await bus.fetch_body(parsed.body_object) == large.body
    await bus.delete_body(parsed.body_object)
    with pytest.raises(Poison):
        await bus.fetch_body(parsed.body_object)


async def test_drift_of_a_limit_is_refused(bus: Bus, nats_url: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    config = (await js.stream_info("kannon_bounce")).config
    await js.update_stream(config, max_msgs=5)
    await client.close()
    other = Bus(nats_url)
    with pytest.raises(OperatorError, match="stream kannon_bounce has max_msgs"):
        await other.ready()
    await other.close()


async def test_without_a_server_it_raises_at_once() -> None:
    bus = Bus("nats://127.0.0.1:9")
    with patience(), pytest.raises(Unavailable, match="NATS"):
        await bus.ready()
    with patience(), pytest.raises(Unavailable, match="NATS"):
        await bus.publish_events([event(1)])
    await bus.close()


async def test_consuming_ends_with_unavailable_itself_when_the_server_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with nothing in work: the sender, which catches it, may have mail in flight that an earlier one brought."""
    monkeypatch.setattr(consume, "PULL_SECONDS", 0.1)

    async def handle(page: list[Message]) -> None:
        raise AssertionError(page)

    with DataDir.open(tmp_path) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        bus = Bus(server.url)
        await bus.ready()
        async with anyio.create_task_group() as group:
            group.start_soon(server.stop)
            with patience(), pytest.raises(Unavailable):
                await bus.consume(streams.SENDER, handle, Limits(page=10, in_flight=10), stop=anyio.Event())
        await bus.close()
        server.close()


async def test_a_notification_and_stop_end_the_wait(bus: Bus) -> None:
    stop = anyio.Event()
    with patience():
        async with bus.listen(streams.NOTIFY_VALIDATOR, stop) as notification:
            await bus.ping()
            await bus.notify_validator()
            await notification.wait(60)
            stop.set()
            await notification.wait(60)
    assert stop.is_set()


async def test_throttled_deliveries_reach_one_dispatcher(bus: Bus) -> None:
    page = [
        ThrottledDelivery(1, 0, 2.5),
        ThrottledDelivery(2, 3, 30.0, 2.0, "example.com", "warm-up: enough for today"),
    ]
    stop = anyio.Event()
    got: list[list[ThrottledDelivery]] = []

    async def take_it(arrived: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]]) -> None:
        got.append(arrived)
        await taken()
        stop.set()

    with patience():
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(bus.take_throttled, take_it, stop)
            await bus.ping()
            await bus.ping()
            await bus.publish_throttled(page)
    assert got == [page]


async def test_throttled_deliveries_that_no_dispatcher_took_are_reported(bus: Bus) -> None:
    page = [ThrottledDelivery(1, 0, 2.5)]
    stop = anyio.Event()

    async def refuse(arrived: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]]) -> None:
        raise Unavailable("PostgreSQL: not connected")

    with patience():
        with pytest.raises(Unavailable, match="no responders"):
            await bus.publish_throttled(page)
        async with anyio.create_task_group() as group:
            group.start_soon(bus.take_throttled, refuse, stop)
            await bus.ping()
            with pytest.raises(Unavailable, match="no dispatcher could return 1 throttled deliveries"):
                await bus.publish_throttled(page)
            stop.set()
