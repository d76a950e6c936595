"""A burst of events is few messages; every consumer reads single events too, as earlier versions publish them."""

from dataclasses import replace

import anyio
import pytest

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.events import pack, read_events
from kannon.bus.publish import Outgoing
from kannon.bus.settle import Message
from kannon.errors import Poison
from kannon.mail.event import Event, EventType
from kannon.pb.stats.types.stats_pb2 import EventPage
from kannon.wire.event_pages import MAX_BYTES, MAX_EVENTS, Unreadable, decode_events, encode_events
from kannon.wire.events import encode_event
from tests.support.consume import events_of
from tests.support.mail import NOW

DELIVERED = "kannon.stats.delivered"


def event(number: int, kind: EventType = EventType.DELIVERED) -> Event:
    return Event(f"e{number}", kind, "example.com", "msg_1@example.com", "a@example.org", NOW, delivery_id=number)


def test_a_burst_is_few_messages_and_loses_no_event() -> None:
    events = [event(n) for n in range(2 * MAX_EVENTS + 1)]
    messages = list(encode_events(events))
    assert len(messages) == 3
    assert [e for _, payload in messages for e in decode_events(payload)] == events
    assert messages == list(encode_events(events))
    assert len({msg_id for msg_id, _ in messages}) == 3


def test_a_single_event_is_the_message_of_earlier_versions() -> None:
    assert list(encode_events([event(1)])) == [("e1", encode_event(event(1)))]


def test_long_events_make_more_messages() -> None:
    events = [replace(event(n), text="x" * 1000) for n in range(MAX_EVENTS)]
    sizes = [len(payload) for _, payload in encode_events(events)]
    assert len(sizes) == 2
    assert max(sizes) < MAX_BYTES + 2000


def test_an_unreadable_event_leaves_its_neighbours_readable() -> None:
    payload = EventPage(events=[encode_event(event(1)), b"\xff junk", encode_event(event(2))]).SerializeToString()
    first, bad, second = decode_events(payload)
    assert (first, second) == (event(1), event(2))
    assert isinstance(bad, Unreadable)
    assert bad.payload == b"\xff junk"
    with pytest.raises(Poison, match="not an event"):
        decode_events(b"\xff junk")


def test_each_subject_has_messages_of_its_own() -> None:
    events = [event(1), event(2, EventType.ERROR), event(3)]
    packed = pack(events, lambda e: streams.STATS_SUBJECTS[e.type])
    assert [(m.subject, len(decode_events(m.payload))) for m in packed] == [(DELIVERED, 2), ("kannon.stats.error", 1)]


async def test_single_events_of_earlier_versions_are_read(bus: Bus) -> None:
    await bus.ready()
    await bus._publish([Outgoing(DELIVERED, f"e{n}", encode_event(event(n))) for n in range(3)])
    await bus.publish_events([event(n) for n in range(3, 6)])
    assert await events_of(bus, streams.STATS, 6) == [event(n) for n in range(6)]


async def test_an_unreadable_event_alone_becomes_a_dead_letter(bus: Bus) -> None:
    page = EventPage(events=[encode_event(event(1)), b"\xff junk"]).SerializeToString()
    await bus.ready()
    await bus._publish([Outgoing(DELIVERED, "page", page), Outgoing(DELIVERED, "junk", b"\xff worse")])
    events, readable = await read_all(bus, 2)
    assert (events, len(readable)) == ([event(1)], 1)
    letters, count = await bus.list_dead_letters(after=0, take=10)
    assert count == 2
    assert [letter.payload for letter in letters] == [b"\xff junk", b"\xff worse"]


async def read_all(bus: Bus, count: int) -> tuple[list[Event], list[Message]]:
    found: tuple[list[Event], list[Message]] = ([], [])
    stop = anyio.Event()
    seen = 0

    async def handle(page: list[Message]) -> None:
        nonlocal seen
        seen += len(page)
        events, readable = await read_events(page)
        found[0].extend(events)
        found[1].extend(readable)
        for message in readable:
            await message.ack()
        if seen >= count:
            stop.set()

    await bus.consume(streams.STATS, handle, Limits(page=10, in_flight=10), stop=stop)
    return found


async def test_a_page_gathers_after_the_one_before(bus: Bus) -> None:
    """The first message is handled at once. Those that follow within the time of a page make one page."""
    pages: list[int] = []
    stop = anyio.Event()

    async def handle(page: list[Message]) -> None:
        for message in page:
            await message.ack()
        pages.append(len(page))
        if len(pages) == 1:
            for n in range(1, 6):
                await bus.publish_events([event(n)])
        if sum(pages) == 6:
            stop.set()

    await bus.publish_events([event(0)])
    limits = Limits(page=100, in_flight=200, gather_seconds=1.0)
    await bus.consume(streams.STATS, handle, limits, stop=stop)
    assert pages == [1, 5]


async def test_a_page_that_becomes_full_does_not_gather_on(bus: Bus) -> None:
    """Under load the time between two pages limits nothing."""
    pages: list[int] = []
    stop, second = anyio.Event(), anyio.Event()

    async def handle(page: list[Message]) -> None:
        for message in page:
            await message.ack()
        pages.append(len(page))
        second.set()
        if sum(pages) == 6:
            stop.set()

    async def publish() -> None:
        await second.wait()
        for n in range(1, 6):
            await bus.publish_events([event(n)])
            await anyio.sleep(0.02)  # the consumer waits for more of the page

    await bus.publish_events([event(0)])
    limits = Limits(page=5, in_flight=20, gather_seconds=600.0)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await bus.consume(streams.STATS, handle, limits, stop=stop)
    assert pages == [1, 5]
