"""Starting and stopping bump, and one round through the real PostgreSQL and NATS."""

import secrets
import socket
from datetime import timedelta
from functools import partial

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.settle import Message
from kannon.bus.streams import STATS
from kannon.components.bump import Bump
from kannon.db.keys import NewStatsKey, current_stats_key, list_verification_keys
from kannon.db.pool import Database
from kannon.errors import AddressInUse
from kannon.mail.event import Event, EventType
from tests.components.bump.conftest import Keys, ScriptedBus, Start
from tests.support.consume import read
from tests.support.http import parse_response, request
from tests.support.mail import NOW, token_pair
from tests.support.patience import patience
from tests.support.readers import click_path, open_path


def bump(bus: ScriptedBus, listen: str) -> Bump:
    return Bump(bus, Keys().list_keys, listen=listen, clock=lambda: NOW, new_id=partial(secrets.token_hex, 16))


async def test_a_taken_address_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressInUse, match=rf"bump\.listen: {address}: Address already in use"):
            await bump(ScriptedBus(), address).run(anyio.Event())


@pytest.mark.parametrize("listen", ["203.0.113.1:8080", "no.such.host.invalid:80"])
async def test_an_address_that_is_not_ours_is_one_clear_line(listen: str) -> None:
    with pytest.raises(AddressInUse, match=r"bump\.listen: ") as caught:
        await bump(ScriptedBus(), listen).run(anyio.Event())
    assert "\n" not in str(caught.value)


async def test_it_listens_on_ipv6_too() -> None:
    stop = anyio.Event()
    it = bump(ScriptedBus(), "[::1]:0")
    async with anyio.create_task_group() as group:
        await group.start(it.run, stop)
        async with await anyio.connect_tcp("::1", it.port) as stream:
            await stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await stream.receive()).startswith(b"HTTP/1.1 200")
        stop.set()


async def test_it_can_be_started_again_on_the_same_port(start: Start) -> None:
    async with start() as running:
        port = running.port
        await request(port, open_path())
    stop = anyio.Event()
    it = bump(ScriptedBus(), f"127.0.0.1:{port}")
    async with anyio.create_task_group() as group:
        await group.start(it.run, stop)
        assert (await request(port, "/healthz")).status == 200
        stop.set()


async def test_at_the_stop_an_open_request_is_answered_and_its_event_published(start: Start) -> None:
    bus = ScriptedBus(hold=anyio.Event())
    async with start(bus) as running:
        async with await anyio.connect_tcp("127.0.0.1", running.port) as stream:
            await stream.send(f"GET {click_path()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            while not len(running.bump._outbox):
                await anyio.lowlevel.checkpoint()
            running.stop.set()
            received = await stream.receive()
        assert parse_response(received).status == 307
        assert bus.hold is not None
        bus.hold.set()
    assert len(bus.events) == 1
    with pytest.raises(OSError, match=r"."):
        await anyio.connect_tcp("127.0.0.1", running.port)


async def test_idle_connections_do_not_hold_up_the_stop(start: Start) -> None:
    with patience():
        async with start() as running:
            stream = await anyio.connect_tcp("127.0.0.1", running.port)
            await stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            await stream.receive()
    await stream.aclose()


async def test_a_connection_serves_many_requests(start: Start) -> None:
    async with start() as running, await anyio.connect_tcp("127.0.0.1", running.port) as stream:
        for _ in range(50):
            await stream.send(f"GET {open_path()} HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n".encode())
            received = b""
            while not received.endswith(b"\x3b"):
                received += await stream.receive()
            assert received.startswith(b"HTTP/1.1 200")
    assert len(running.events) == 50


async def test_through_the_real_database_and_bus(db: Database, bus: Bus) -> None:
    key, public = token_pair()
    await current_stats_key(
        db,
        now=NOW,
        sign_for=timedelta(days=30),
        token_ttl=timedelta(days=90),
        generate=lambda: NewStatsKey(key.kid, key.private_pem, public),
    )
    it = Bump(
        bus,
        partial(list_verification_keys, db),
        listen="127.0.0.1:0",
        clock=lambda: NOW,
        new_id=partial(secrets.token_hex, 16),
    )
    events: list[Event] = []
    both, stop = anyio.Event(), anyio.Event()

    async def collect(page: list[Message]) -> None:
        for message in page:
            events.extend(read([message]))
            await message.ack()
        if len(events) == 2:
            both.set()

    with patience():
        async with anyio.create_task_group() as group:
            await group.start(it.run, stop)
            group.start_soon(partial(bus.consume, STATS, collect, Limits(page=10, in_flight=10), stop=stop))
            assert (await request(it.port, open_path())).status == 200
            assert (await request(it.port, click_path())).status == 307
            await both.wait()
            stop.set()
    assert {event.type for event in events} == {EventType.OPENED, EventType.CLICKED}
    assert len({event.event_id for event in events}) == 2
