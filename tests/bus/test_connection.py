"""The bus's connection when its server closes it for good, and subscriptions and messages that an outage leaves."""

import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.bus.consume import PULL_SECONDS, Limits
from kannon.bus.settle import Message
from kannon.embedded import DataDir, EmbeddedNats
from kannon.embedded import nats as settings
from kannon.errors import Unavailable
from kannon.mail.destination import SenderView
from kannon.mail.envelope import ThrottledDelivery
from tests.support.consume import take
from tests.support.envelopes import an_envelope
from tests.support.nats_callout import USER, AuthCallout
from tests.support.nats_reload import reload_with

GENEROUS_SECONDS = 40.0
Restore = Callable[[], Awaitable[None]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A server of the test's own, to be stopped and reloaded."""
    with DataDir.open(tmp_path) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        yield server
        await server.stop()
        server.close()


@pytest.fixture
async def own_bus(server: EmbeddedNats) -> AsyncIterator[Bus]:
    bus = Bus(server.url)
    await bus.ready()
    yield bus
    await bus.close()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(GENEROUS_SECONDS):
        while not condition():
            await anyio.sleep(0.01)  # the condition is the server's


async def healthy(bus: Bus) -> bool:
    try:
        await bus.ping()
    except Unavailable:
        return False
    return True


async def until_healthy(bus: Bus, wanted: bool) -> None:
    with anyio.fail_after(GENEROUS_SECONDS):
        while await healthy(bus) is not wanted:
            await anyio.sleep(0.01)  # the condition is the server's


@asynccontextmanager
async def revoke_credentials(server: EmbeddedNats, data_dir: Path, bus: Bus) -> AsyncIterator[Restore]:
    reload_with(server, data_dir, "user: kannon", "user: another")
    await until_healthy(bus, wanted=False)
    await nothing_is_published(bus)

    async def restore() -> None:
        reload_with(server, data_dir, "user: another", "user: kannon")

    yield restore


@asynccontextmanager
async def lower_max_connections(server: EmbeddedNats, data_dir: Path, bus: Bus) -> AsyncIterator[Restore]:
    """The server chooses which of two connections it closes, so again until it is the bus's."""
    free, full = "max_payload: 8MB", "max_payload: 8MB\nmax_connections: 1"
    with anyio.fail_after(GENEROUS_SECONDS):
        while True:
            other = await occupant(server.url)
            reload_with(server, data_dir, free, full)
            await until(lambda other=other: other.is_closed or bus._connection.client.is_closed)  # type: ignore[misc]
            if not await healthy(bus) and other.is_connected:
                break
            reload_with(server, data_dir, full, free)
            await other.close()
    await nothing_is_published(bus)

    async def restore() -> None:
        reload_with(server, data_dir, full, free)
        await other.close()

    yield restore


async def occupant(url: str) -> Client:
    async def quiet(_: Exception) -> None: ...

    while True:
        with contextlib.suppress(NatsError, OSError):
            return await nats.connect(url, allow_reconnect=False, error_cb=quiet)


@asynccontextmanager
async def exceed_max_payload(server: EmbeddedNats, data_dir: Path, bus: Bus) -> AsyncIterator[Restore]:
    """The client goes on with the limit that it read when it connected."""
    reload_with(server, data_dir, "max_payload: 8MB", "max_payload: 64KB")
    client = bus._connection.client
    large = an_envelope(body=bytes(256 << 10))
    with anyio.fail_after(GENEROUS_SECONDS), contextlib.suppress(Unavailable):
        while not client.is_closed:  # until the server has read the lower limit
            await bus.publish_envelopes([large])
    assert client.is_closed
    assert "maximum payload exceeded" in (data_dir / "logs" / "nats.log").read_text()

    async def restore() -> None:
        reload_with(server, data_dir, "max_payload: 64KB", "max_payload: 8MB")

    yield restore


@asynccontextmanager
async def let_credentials_expire(server: EmbeddedNats, data_dir: Path, bus: Bus) -> AsyncIterator[Restore]:
    """The user is accepted for a second, then refused until `restore`."""
    callout = AuthCallout(seconds=1)
    block = callout.settings.replace("{", "{{").replace("}", "}}")
    users = f"{block}, users: [ {{{{ user: {USER}, password: {{password}} }}}}, {{{{ user: {{user}},"
    await server.stop()
    with pytest.MonkeyPatch.context() as patch:  # the server reloads everything but this
        patch.setattr(settings, "_SETTINGS", settings._SETTINGS.replace("users: [ {{ user: {user},", users))
        await server.start()
    async with callout.running(server.url.replace("kannon:", f"{USER}:")):
        await until_healthy(bus, wanted=True)
        await until(lambda client=bus._connection.client: client.is_closed)  # type: ignore[misc]
        callout.refusing = True
        await until_healthy(bus, wanted=False)
        await nothing_is_published(bus)

        async def restore() -> None:
            callout.seconds, callout.refusing = None, False

        yield restore


async def nothing_is_published(bus: Bus) -> None:
    assert not await healthy(bus)
    with pytest.raises(Unavailable):
        await bus.publish_envelopes([an_envelope()])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        # A reset of the connection discards the server's reason where the client was writing.
        (revoke_credentials, "connection lost"),
        (lower_max_connections, "connection lost"),
        (exceed_max_payload, "connection lost"),
        (let_credentials_expire, "user authentication expired"),
    ],
)
async def test_a_connection_closed_for_good_is_made_anew_and_every_use_of_it_continues(
    server: EmbeddedNats,
    own_bus: Bus,
    tmp_path: Path,
    fault: Callable[[EmbeddedNats, Path, Bus], AbstractAsyncContextManager[Restore]],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same process publishes, consumes, replies, and gets notifications and requests."""
    view = SenderView("host:1", (), 0)
    heard: list[list[ThrottledDelivery]] = []
    stop = anyio.Event()

    async def hear(page: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]]) -> None:
        heard.append(page)
        await taken()

    async with (
        anyio.create_task_group() as group,
        own_bus.listen(streams.NOTIFY_VALIDATOR, stop) as notification,
    ):
        group.start_soon(own_bus.take_throttled, hear, stop)
        group.start_soon(own_bus.serve_destinations, lambda: view)
        before = own_bus._connection.client
        async with fault(server, tmp_path, own_bus) as restore:
            assert before.is_closed
            await restore()
            await until_healthy(own_bus, wanted=True)
            with anyio.fail_after(GENEROUS_SECONDS):
                while await own_bus.gather_destinations() != [view]:
                    pass
                while not heard:
                    with contextlib.suppress(Unavailable):
                        await own_bus.publish_throttled([ThrottledDelivery(1, 0, 2.5)])
                await own_bus.notify_validator()
                await notification.wait(2 * GENEROUS_SECONDS)
            await own_bus.publish_envelopes([an_envelope()])
            await take(own_bus, streams.SENDER, 1)
        stop.set()
        group.cancel_scope.cancel()
    lost = [line for line in capsys.readouterr().err.splitlines() if "NATS connection lost" in line]
    assert reason in " ".join(lost).lower()


async def test_an_outage_leaves_no_message_in_memory(server: EmbeddedNats, own_bus: Bus) -> None:
    for number in range(2):
        await own_bus.publish_envelopes([an_envelope(delivery_id=10 * number + n) for n in range(10)])
        held = anyio.Event()

        async def hold(page: list[Message], held: anyio.Event = held) -> None:
            held.set()
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:

            async def stop_then(held: anyio.Event = held) -> None:
                await held.wait()
                await server.stop()

            group.start_soon(stop_then)
            with anyio.fail_after(GENEROUS_SECONDS), pytest.raises(Unavailable):
                await own_bus.consume(streams.SENDER, hold, Limits(page=5, in_flight=20), stop=anyio.Event())
        await server.start()
        await until_healthy(own_bus, wanted=True)
    gc.collect()
    assert sum(isinstance(each, Message) for each in gc.get_objects()) == 0


async def test_a_subscription_that_ends_in_an_outage_takes_no_share_afterwards(
    server: EmbeddedNats, own_bus: Bus
) -> None:
    other = Bus(server.url)
    await other.ready()
    dead: list[list[ThrottledDelivery]] = []
    alive: list[list[ThrottledDelivery]] = []
    stop_dead, stop = anyio.Event(), anyio.Event()

    async def hear_dead(page: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]]) -> None:
        dead.append(page)
        await taken()

    async def hear(page: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]]) -> None:
        alive.append(page)
        await taken()

    async with anyio.create_task_group() as group:
        async with anyio.create_task_group() as ending:
            ending.start_soon(own_bus.take_throttled, hear_dead, stop_dead)
            await own_bus.ping()
            await server.stop()
            await until(lambda: not own_bus._connection.client.is_connected)
            stop_dead.set()
        await server.start()
        await until_healthy(own_bus, wanted=True)
        await until_healthy(other, wanted=True)
        group.start_soon(other.take_throttled, hear, stop)
        await anyio.wait_all_tasks_blocked()
        await other.ping()
        pages = [[ThrottledDelivery(n, 0, 1.0)] for n in range(40)]
        for page in pages:
            await other.publish_throttled(page)
        await other.ping()
        await until(lambda: len(alive) + len(dead) == 40)
        stop.set()
    assert (len(alive), dead) == (40, [])
    await other.close()


async def test_a_lost_connection_ends_every_wait_for_the_server(server: EmbeddedNats, own_bus: Bus) -> None:
    """Long before a pull request, an acknowledgement or a reply would time out."""
    ended = []

    async def ignore(page: list[Message]) -> None:
        pass

    async def wait(name: str, call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(Unavailable):
            await call()
        ended.append(name)

    silent = await nats.connect(server.url, allow_reconnect=False)
    await silent.subscribe(streams.THROTTLED, queue="dispatcher")
    await silent.flush()
    consume = partial(own_bus.consume, streams.SENDER, ignore, Limits(page=10, in_flight=10), stop=anyio.Event())
    page = [ThrottledDelivery(1, 0, 5.0, 1.0)]
    with anyio.fail_after(PULL_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, "consume", consume)
            group.start_soon(wait, "request", partial(own_bus.publish_throttled, page))
            await anyio.wait_all_tasks_blocked()
            await server.stop()
    assert sorted(ended) == ["consume", "request"]
    await silent.close()
