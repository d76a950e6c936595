"""Words and messages in work when NATS goes away: repeated and kept when it is back."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.settle import Message
from kannon.embedded import DataDir, EmbeddedNats
from kannon.errors import Unavailable
from tests.support.envelopes import an_envelope
from tests.support.patience import PATIENCE_SECONDS, patience

LIMITS = Limits(page=10, in_flight=10)


@pytest.fixture(autouse=True)
def _no_redelivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the test's patience no ack wait ends."""
    monkeypatch.setattr(streams, "ACK_WAIT_SECONDS", 3 * PATIENCE_SECONDS)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[DataDir]:
    with DataDir.open(tmp_path) as data_dir:
        yield data_dir


@pytest.fixture
async def server(data_dir: DataDir) -> AsyncIterator[EmbeddedNats]:
    server = EmbeddedNats(data_dir.path)
    await server.start()
    yield server
    await server.stop()
    server.close()


@pytest.fixture
async def bus(server: EmbeddedNats) -> AsyncIterator[Bus]:
    bus = Bus(server.url)
    await bus.ready()
    yield bus
    await bus.close()


class Handler:
    """Holds the pages that arrive. `keep`: as the sender, whose mail outlives the consumption."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self.messages: list[Message] = []
        self.arrived = anyio.Event()

    async def __call__(self, page: list[Message]) -> None:
        self.messages += page
        for message in page:
            if self._keep:
                message.keep()
        self.arrived.set()
        await anyio.sleep_forever()


async def consume_until_away(bus: Bus, server: EmbeddedNats, handler: Handler) -> None:
    """Until a page is in work and the server has stopped."""
    async with anyio.create_task_group() as group:

        async def consume() -> None:
            with suppress(Unavailable):
                await bus.consume(streams.SENDER, handler, LIMITS, stop=anyio.Event())

        group.start_soon(consume)
        await handler.arrived.wait()
        await server.stop()


async def consume_again(bus: Bus, handler: Handler, stop: anyio.Event) -> None:
    while True:
        with suppress(Unavailable):
            await bus.ready()
            return await bus.consume(streams.SENDER, handler, LIMITS, stop=stop)
        await anyio.sleep(0.05)


async def test_an_ack_that_was_lost_with_its_connection_is_repeated(bus: Bus, server: EmbeddedNats) -> None:
    handler, later = Handler(keep=True), Handler(keep=True)
    await bus.publish_envelopes([an_envelope()])
    with patience():
        await consume_until_away(bus, server, handler)
        with pytest.raises(Unavailable):
            await handler.messages[0].ack()
        await server.start()
        async with anyio.create_task_group() as group:
            group.start_soon(consume_again, bus, later, anyio.Event())
            while True:
                with suppress(Unavailable):
                    if not (await bus.backlog()).messages:
                        break
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    assert later.messages == []


async def test_messages_of_a_page_that_was_cut_return_as_soon_as_nats_is_back(bus: Bus, server: EmbeddedNats) -> None:
    handler, later = Handler(keep=False), Handler(keep=False)
    await bus.publish_envelopes([an_envelope(delivery_id=n) for n in (1, 2)])
    with patience():
        await consume_until_away(bus, server, handler)
        await server.start()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(consume_again, bus, later, anyio.Event()))
            await later.arrived.wait()
            group.cancel_scope.cancel()
    assert later.messages[0].num_delivered == 2


async def test_a_kept_message_stays_alive_over_the_next_connection(
    bus: Bus, server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeats go on, and its own ack settles it."""
    monkeypatch.setattr("kannon.bus.consume.HEARTBEAT_SECONDS", 0.05)
    handler, later = Handler(keep=True), Handler(keep=True)
    await bus.publish_envelopes([an_envelope()])
    with patience():
        await consume_until_away(bus, server, handler)
        await server.start()
        beats = 0
        [message] = handler.messages
        heartbeat = Message.heartbeat

        async def counted(self: Message) -> None:
            nonlocal beats
            await heartbeat(self)
            beats += self is message

        monkeypatch.setattr(Message, "heartbeat", counted)
        async with anyio.create_task_group() as group:
            group.start_soon(consume_again, bus, later, anyio.Event())
            while beats < 3:
                await anyio.sleep(0.02)
            await message.ack()
            while (await bus.backlog()).messages:
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    assert later.messages == []


async def test_messages_of_a_killed_process_come_at_once_to_the_next_one(data_dir: DataDir) -> None:
    """Both start the server; no ack wait ends within this test."""
    killed, later = Handler(keep=True), Handler(keep=True)
    with patience():
        for handler in (killed, later):
            server = EmbeddedNats(data_dir.path)
            await server.start()
            bus = Bus(server.url, syncs=True)
            await bus.publish_envelopes([an_envelope(delivery_id=n) for n in (1, 2)])
            async with anyio.create_task_group() as group:
                group.start_soon(partial(consume_again, bus, handler, anyio.Event()))
                await handler.arrived.wait()
                await server.stop()
                group.cancel_scope.cancel()
            server.close()
    assert {message.msg_id for message in later.messages} == {"1.1.0", "2.1.0"}
