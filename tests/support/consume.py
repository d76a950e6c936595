"""Takes messages off the bus in tests."""

from collections.abc import Callable

import anyio

from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.settle import Message
from kannon.bus.streams import ConsumerSpec
from kannon.mail.event import Event
from kannon.wire.event_pages import Unreadable, decode_events
from tests.support.patience import patience


async def take(bus: Bus, spec: ConsumerSpec, count: int) -> list[Message]:
    """Acks and returns `count` messages."""
    return await _take(bus, spec, lambda taken: len(taken) >= count)


async def _take(bus: Bus, spec: ConsumerSpec, enough: Callable[[list[Message]], bool]) -> list[Message]:
    taken: list[Message] = []
    stop = anyio.Event()

    async def handle(page: list[Message]) -> None:
        for message in page:
            await message.ack()
        taken.extend(page)
        if enough(taken):
            stop.set()

    with patience():
        await bus.consume(spec, handle, Limits(page=100, in_flight=200), stop=stop)
    return taken


async def events_of(bus: Bus, spec: ConsumerSpec, count: int) -> list[Event]:
    """Acks the messages of `count` events."""
    return read(await _take(bus, spec, lambda taken: len(read(taken)) >= count))


def read(messages: list[Message]) -> list[Event]:
    """In any form."""
    return [e for m in messages for e in decode_events(m.payload) if not isinstance(e, Unreadable)]
