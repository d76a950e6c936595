"""The two servers as a program runs them: where data may live, what is durable, what survives what."""

import asyncio
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import asyncpg
import nats
import pytest
from nats.js import JetStreamContext

from kannon.embedded.run_as import RunAs
from kannon.embedded.stale_process import read_pid
from tests.embedded.conftest import USERS, Servers, Start, Urls, account_named, own
from tests.support.processes import account_of, all_gone, command_line, descendants, process, program, status_of, until


@dataclass(frozen=True)
class Serving:
    servers: Servers
    urls: Urls
    data_dir: Path
    above: dict[Path, tuple[int, int]]
    """Mode and owner of every directory above the data, before the start."""


LONG = "/".join(["a-directory-with-a-rather-long-name"] * 6)


async def query(urls: Urls, statement: str) -> object:
    connection = await asyncpg.connect(urls.postgres)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def remember(urls: Urls) -> None:
    """Leaves a row and a message."""
    await query(urls, "CREATE TABLE kept (x int)")
    await query(urls, "INSERT INTO kept VALUES (7)")
    client = await nats.connect(urls.nats)
    try:
        jetstream: JetStreamContext = client.jetstream()
        await jetstream.add_stream(name="kept", subjects=["kept"])
        await jetstream.publish("kept", b"7")
    finally:
        await client.close()


async def assert_remembered(urls: Urls) -> None:
    assert await query(urls, "SELECT x FROM kept") == 7
    client = await nats.connect(urls.nats)
    try:
        assert (await client.jetstream().stream_info("kept")).state.messages == 1
    finally:
        await client.close()


@pytest.mark.parametrize("place", ["plain", "with spaces and 'quotes' and ünïcode", LONG], ids=["plain", "odd", "long"])
async def test_they_serve_from_any_path(start: Start, data_dir: Path, place: str) -> None:
    with start(data_dir / place) as servers:
        urls = await servers.ready()
        assert await query(urls, "SELECT current_database()") == "kannon"
        assert await query(urls, "SHOW server_encoding") == "UTF8"
        assert await query(urls, "SELECT datlocale FROM pg_database WHERE datname = 'kannon'") == "C.UTF-8"
        await remember(urls)
        assert await servers.program.stop() == 0
    with start(data_dir / place) as servers:
        await assert_remembered(await servers.ready())


@pytest.fixture(scope="module", params=USERS)
def serving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One program for the tests that only look at it."""
    account = account_named(request.param)
    data_dir = own(tmp_path_factory.mktemp("serving") / "data", account)
    (own(data_dir / "conf", account) / "local.conf").write_text("shared_buffers = '32MB'\n")
    above = {path: (path.stat().st_mode, path.stat().st_uid) for path in data_dir.parents}
    arguments = ("tests.support.embedded_program", str(data_dir))
    with program(*arguments, stderr=data_dir.parent / "stderr", account=account) as started:
        servers = Servers(started)
        yield Serving(servers, asyncio.run(servers.ready()), data_dir, above)


async def test_postgresql_is_durable_and_listens_on_no_port(serving: Serving) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert await query(serving.urls, f"SHOW {setting}") == "on", setting
    assert await query(serving.urls, "SHOW listen_addresses") == ""


async def test_an_operators_own_settings_win(serving: Serving) -> None:
    assert await query(serving.urls, "SHOW shared_buffers") == "32MB"


async def test_jetstream_asks_for_the_password(serving: Serving) -> None:
    host, _, port = serving.urls.nats.rpartition("@")[2].partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stranger:
        assert (await stranger.receive()).startswith(b"INFO ")
        await stranger.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
        assert b"Authorization Violation" in await stranger.receive()
    client = await nats.connect(serving.urls.nats)
    try:
        assert client.max_payload == 8 << 20
    finally:
        await client.close()


def test_other_users_can_read_no_file(serving: Serving) -> None:
    for name in ("postgres", "nats", "logs"):
        assert stat.S_IMODE((serving.data_dir / name).stat().st_mode) == 0o700, name
    for name in ("admin_token", "lock", "conf/nats.conf", "logs/postgres.log", "logs/nats.log"):
        assert stat.S_IMODE((serving.data_dir / name).stat().st_mode) == 0o600, name


def test_the_children_are_not_root(serving: Serving) -> None:
    children = descendants(serving.servers.program.pid)
    assert len(children) > 2
    for pid in children:
        assert "0" not in status_of(pid)["Uid"].split(), command_line(pid)
    assert account_of(serving.servers.pid_of("postgres")) == account_of(serving.servers.pid_of("nats-server"))


def test_nothing_above_the_data_is_touched(serving: Serving) -> None:
    assert {path: (path.stat().st_mode, path.stat().st_uid) for path in serving.above} == serving.above


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_leaves_no_process(start: Start, made_dir: Path, number: signal.Signals) -> None:
    with start(made_dir) as servers:
        await servers.ready()
        children = descendants(servers.program.pid)
        assert len(children) > 2
        assert await servers.program.stop(number) == 0
        await all_gone(children)
    assert not (made_dir / "postgres" / "postmaster.pid").exists()


async def test_a_kill_takes_the_children_along_and_loses_nothing(start: Start, made_dir: Path) -> None:
    with start(made_dir) as servers:
        await remember(await servers.ready())
        children = descendants(servers.program.pid)
        assert await servers.program.stop(signal.SIGKILL) == -signal.SIGKILL
        await all_gone(children)
    with start(made_dir) as servers:
        await assert_remembered(await servers.ready())


async def test_a_kill_while_the_data_is_being_made(start: Start, data_dir: Path) -> None:
    with start(data_dir) as servers:
        await until(lambda: any(data_dir.glob("postgres.new-*")))
        assert await servers.program.stop(signal.SIGKILL) == -signal.SIGKILL
    assert not (data_dir / "postgres").exists()
    with start(data_dir) as servers:
        await remember(await servers.ready())


@pytest.mark.parametrize("name", ["postgres", "nats-server"])
async def test_a_server_that_dies_is_started_again_at_the_same_address(start: Start, made_dir: Path, name: str) -> None:
    with start(made_dir) as servers:
        urls = await servers.ready()
        await remember(urls)
        killed = servers.pid_of(name)
        os.kill(killed, signal.SIGKILL)
        await all_gone([killed])
        await servers.until_back(name)
        await assert_remembered(urls)
        assert await servers.program.stop() == 0
    assert "ended unexpectedly (signal 9)" in servers.program.stderr


@pytest.mark.parametrize("name", ["postgres", "nats-server"])
async def test_stale_processes_are_stopped(start: Start, made_dir: Path, name: str) -> None:
    with start(made_dir) as servers:
        await remember(await servers.ready())
        pid = servers.pid_of(name)
        argv, who = command_line(pid), account_of(pid)
        assert await servers.program.stop() == 0
    pid_file = made_dir / ("postgres/postmaster.pid" if name == "postgres" else "nats/nats.pid")
    with process(argv, who) as leftover:
        await until(lambda: read_pid(pid_file) == leftover.pid)
        with start(made_dir) as servers:
            urls = await servers.ready()
            assert leftover.wait(10) == 0
            await assert_remembered(urls)


async def test_a_reused_pid_is_left_alone(start: Start, made_dir: Path) -> None:
    with start(made_dir) as servers:
        await servers.ready()
        who = account_of(servers.pid_of("postgres"))
        left = (made_dir / "postgres/postmaster.pid").read_text().splitlines()
        await servers.program.stop()
    with process(["sleep", "1000"], who) as stranger:
        for file in (made_dir / "postgres/postmaster.pid", made_dir / "nats/nats.pid"):
            file.write_text("\n".join([str(stranger.pid), *left[1:]]) + "\n")
            os.chown(file, who.uid, who.gid)
        with start(made_dir) as servers:
            await servers.ready()
            assert stranger.poll() is None


async def test_restoring_below_a_new_path(start: Start, account: RunAs | None, data_dir: Path) -> None:
    with start(data_dir / "old") as servers:
        await remember(await servers.ready())
        await servers.program.stop()
    moved = own(data_dir.parent / "elsewhere", account) / "new"
    (data_dir / "old").rename(moved)
    with start(moved) as servers:
        await assert_remembered(await servers.ready())
