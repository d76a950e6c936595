"""How many processes there are, and what each one gets."""

import os
from pathlib import Path

import pytest

from kannon.config import COMPONENTS, Config, Dispatcher, Postgres, Runner
from kannon.processes import count_processes, divide, division, postgres_connections


@pytest.mark.parametrize(
    ("cores", "quota", "asked", "enabled", "count"),
    [
        (1, "max 100000", 0, COMPONENTS, 1),
        (2, "max 100000", 0, COMPONENTS, 1),
        (3, "max 100000", 0, COMPONENTS, 2),
        (16, "max 100000", 0, COMPONENTS, 15),
        (16, "400000 100000", 0, COMPONENTS, 3),
        (16, "150000 100000", 0, COMPONENTS, 1),
        (16, "", 0, COMPONENTS, 15),
        (2, "max 100000", 5, COMPONENTS, 5),
        (16, "max 100000", 0, ("api", "smtp", "bump"), 1),
        (16, "max 100000", 0, ("sender",), 15),
    ],
)
def test_one_less_than_the_cores_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cores: int,
    quota: str,
    asked: int,
    enabled: tuple[str, ...],
    count: int,
) -> None:
    file = tmp_path / "cpu.max"
    if quota:
        file.write_text(quota + "\n")
    monkeypatch.setattr(division, "_CPU_MAX", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert count_processes(Config(runner=Runner(processes=asked)), enabled) == count


@pytest.mark.parametrize(
    ("workers", "count", "shares"),
    [(1, 1, [1]), (1, 3, [1, 1, 1]), (4, 3, [2, 1, 1]), (6, 2, [3, 3]), (0, 3, [0, 0, 0])],
)
def test_workers_are_divided_and_each_process_has_one(workers: int, count: int, shares: list[int]) -> None:
    config = Config(dispatcher=Dispatcher(workers=workers))
    assert [divide(config, number, count).dispatcher.workers for number in range(1, count + 1)] == shares


@pytest.mark.parametrize("size", [2, 16, 200])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 64])
def test_pools_hold_what_the_server_has_room_for(size: int, count: int) -> None:
    config = Config(postgres=Postgres(pool_size=size))
    pools = [divide(config, number, count).postgres.pool_size for number in range(1, count + 1)]
    assert pools[0] == size
    assert sum(pools) + 2 * count <= postgres_connections(config, count)
    assert sum(pools[1:]) <= max(2 * size, 4 * (count - 1))


def test_only_the_first_process_serves_metrics() -> None:
    assert [divide(Config(), number, 2).metrics.listen for number in (1, 2)] == ["127.0.0.1:9090", ""]
