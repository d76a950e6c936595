"""More connections than bump has room for."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from tests.components.bump.conftest import ScriptedBus, Start
from tests.support.http import parse_response, request
from tests.support.patience import patience
from tests.support.readers import click_path

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def connections(port: int, count: int) -> AsyncIterator[list[SocketStream]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port)) for _ in range(count)]


async def answered(stream: SocketStream) -> bool:
    """Whether the connection still serves requests."""
    try:
        await stream.send(HEALTH)
        return parse_response(await stream.receive()).status == 200
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return False


async def test_the_connection_that_was_idle_longest_gives_way(start: Start) -> None:
    with patience():
        async with start(max_connections=20) as running, connections(running.port, 5) as first:
            assert all([await answered(stream) for stream in first])
            async with connections(running.port, 300) as later:
                assert (await request(running.port, "/healthz")).status == 200
                alive = [await answered(stream) for stream in later]
                assert alive == [False] * 281 + [True] * 19
                assert not any([await answered(stream) for stream in first])
                running.stop.set()


async def test_a_connection_in_use_does_not_give_way(start: Start) -> None:
    with patience():
        async with start(max_connections=20) as running, connections(running.port, 1) as kept:
            for _ in range(5):
                assert await answered(kept[0])
                async with connections(running.port, 19) as others:
                    assert await answered(others[-1])
            assert await answered(kept[0])


async def test_while_a_request_is_under_way_on_each_a_new_one_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.components.bump.outbox.WAIT_SECONDS", 60.0)
    bus = ScriptedBus(hold=anyio.Event())
    with patience():
        async with start(bus, max_connections=10) as running, connections(running.port, 10) as busy:
            for stream in busy:
                await stream.send(f"GET {click_path()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            while len(running.bump._outbox) < 10:
                await anyio.lowlevel.checkpoint()
            refused = await request(running.port, "/healthz")
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert bus.hold is not None
            bus.hold.set()
            assert [parse_response(await stream.receive()).status for stream in busy] == [307] * 10
            assert (await request(running.port, "/healthz")).status == 200
