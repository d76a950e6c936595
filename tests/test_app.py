"""The wiring: the table of components, the layers for a configuration, and slow work at the start."""

import dataclasses
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kannon import component_table
from kannon.app import Wired, wire
from kannon.components.metrics import Sources
from kannon.config import COMPONENTS, Config, Nats, Postgres, Runner
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres, executables, postgres


def part(wired: Wired, kind: type[Any]) -> Any:
    (found,) = [component for layer in wired.layers for component in layer if isinstance(component, kind)]
    return found


async def wired_once(config: Config, folder: Path, enabled: Sequence[str] = COMPONENTS) -> Wired:
    with DataDir.open(folder) as data_dir:
        wired = await wire(config, enabled, data_dir, migrate=True)
    part(wired, EmbeddedNats).close()
    return wired


async def test_slow_work_at_the_start_runs_outside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: hashing the servers' programs, running one for its version, and asking a DNS that hangs for the full host
    name."""
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


def test_the_table_has_a_row_for_each_name_that_the_configuration_accepts() -> None:
    assert [entry.name for entry in component_table.COMPONENTS] == list(COMPONENTS)


def test_the_metrics_read_each_gauge_of_the_table() -> None:
    fields = {field.name for field in dataclasses.fields(Sources)}
    assert {entry.gauge for entry in component_table.COMPONENTS} - {""} <= fields


async def names(folder: Path, *enabled: str) -> list[list[str]]:
    """Names of the wired components, by layer. NATS is external, because an embedded one would bind a port at once."""
    config = Config(nats=Nats(url="nats://127.0.0.1:1"), runner=Runner(processes=1))
    with DataDir.open(folder / "data") as data_dir:
        wired = await wire(config, enabled, data_dir, migrate=False)
    return [[component.name for component in layer] for layer in wired.layers]


async def test_every_component_is_wired_under_its_own_name(tmp_path: Path) -> None:
    layers = await names(tmp_path, *COMPONENTS)
    assert layers == [
        ["metrics", "clock", "disk"],
        ["postgres"],
        ["connections"],
        ["schema", "api", "sender", "smtp", "submission", "bump", "node"],
        ["validator", "dispatcher", "stats", "webhooks"],
    ]


async def test_further_processes_are_a_component_of_the_first(tmp_path: Path) -> None:
    wired = await wired_once(Config(runner=Runner(processes=3)), tmp_path)
    assert [component.name for component in wired.layers[-1]] == [
        "validator",
        "dispatcher",
        "stats",
        "webhooks",
        "processes",
    ]


@pytest.mark.parametrize("name", COMPONENTS)
async def test_one_component_starts_only_the_servers_that_it_needs(name: str, tmp_path: Path) -> None:
    layers = await names(tmp_path, name)
    flat = [each for layer in layers for each in layer]
    assert [each for each in flat if each in COMPONENTS] == [name]
    assert ("postgres" in flat) is ("schema" in flat) is (name != "sender")
