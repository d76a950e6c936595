"""Takes messages off the bus in tests."""

import anyio

from kannon.bus.bus import Bus
from kannon.bus.consume import Limits, Message
from kannon.bus.streams import ConsumerSpec
from kannon.mail.event import Event
from kannon.wire.events import decode_event
from tests.support.patience import patience


async def take(bus: Bus, spec: ConsumerSpec, count: int) -> list[Message]:
    """Acks and returns `count` messages."""
    taken: list[Message] = []
    stop = anyio.Event()

    async def handle(page: list[Message]) -> None:
        for message in page:
            await message.ack()
        taken.extend(page)
        if len(taken) >= count:
            stop.set()

    with patience():
        await bus.consume(spec, handle, Limits(page=100, in_flight=200), stop=stop)
    return taken


async def events_of(bus: Bus, spec: ConsumerSpec, count: int) -> list[Event]:
    return [decode_event(message.payload) for message in await take(bus, spec, count)]
