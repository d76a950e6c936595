"""What the wiring makes of a configuration, and where it does work that takes time."""

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kannon.app import Wired, wire
from kannon.config import COMPONENTS, Config, Postgres
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres, executables, postgres


def part(wired: Wired, kind: type[Any]) -> Any:
    (found,) = [component for layer in wired.layers for component in layer if isinstance(component, kind)]
    return found


async def wired_once(config: Config, folder: Path, enabled: Sequence[str] = COMPONENTS) -> Wired:
    with DataDir.open(folder) as data_dir:
        wired = await wire(config, enabled, data_dir, migrate=True)
    part(wired, EmbeddedNats).close()
    return wired


async def test_slow_work_at_the_start_is_not_the_event_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RecordCheck the servers' programs hashes them, their version comes from running one, and a full host name may be
    asked of a DNS that hangs."""
    threads: dict[str, int] = {}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: Any) -> Any:
            threads[name] = threading.get_ident()
            return function(*arguments)

        return watch

    slow = (
        (executables, "postgres_bin"),
        (executables, "nats_server"),
        (postgres, "program_major"),
        (socket, "getfqdn"),
    )
    for owner, name in slow:
        monkeypatch.setattr(owner, name, watched(name, getattr(owner, name)))
    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    server = part(await wired_once(Config(), tmp_path), EmbeddedPostgres)
    await server.start()
    await server.stop()
    assert threads.keys() == {name for _, name in slow}
    assert threading.get_ident() not in threads.values()


@pytest.mark.parametrize("pool_size", [10, 200])
async def test_the_embedded_server_has_room_for_two_pools_and_more(tmp_path: Path, pool_size: int) -> None:
    wired = await wired_once(Config(postgres=Postgres(pool_size=pool_size)), tmp_path)
    server = part(wired, EmbeddedPostgres)
    await server.start()
    try:
        connection = await asyncpg.connect(server.url.replace("/kannon?", "/postgres?"))
        assert int(await connection.fetchval("SHOW max_connections")) >= 2 * pool_size + 10
        await connection.close()
    finally:
        await server.stop()
