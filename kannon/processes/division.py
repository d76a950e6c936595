"""How many processes share the work of one `kannon serve`, and what each one gets.

In: the configuration, the machine's cores. Out: a number, and a configuration for each process. Limits of the machine
are divided: connections to PostgreSQL, build workers. Limits of a destination hold for all senders together anyhow.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kannon.config import Config

SHARED: Final = frozenset({"validator", "dispatcher", "sender", "stats"})
"""The components that further processes run: those that take their work from PostgreSQL and NATS. The others listen."""
MIN_POOL: Final = 4
_OUTSIDE_POOL: Final = 2
"""Sessions of a process beside its pool: see kannon.db.presence."""
_CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Order:
    """What a further process gets at its start. `number`: 2 and up; the first process is 1."""

    number: int
    config: Config
    components: tuple[str, ...]


def count_processes(config: Config, enabled: Sequence[str]) -> int:
    """The first one included. 1 where nothing can be shared."""
    if not SHARED & set(enabled):
        return 1
    return config.runner.processes or max(1, count_cores() - 1)


def count_cores() -> int:
    """Those that this process may use: its CPU affinity, and the quota of its control group (cgroups(7), version 2)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CPU_MAX.read_text(encoding="ascii").split()
        return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


def divide(config: Config, number: int, count: int) -> Config:
    """The configuration of process `number` of `count`. A process has at least one build worker unless
    `dispatcher.workers` is 0."""
    workers = config.dispatcher.workers
    share = max(min(1, workers), workers // count + (number <= workers % count))
    update: dict[str, object] = {"dispatcher": config.dispatcher.model_copy(update={"workers": share})}
    if number > 1:
        pool = _pool_of_further(config.postgres.pool_size, count)
        update["postgres"] = config.postgres.model_copy(update={"pool_size": pool})
        update["metrics"] = config.metrics.model_copy(update={"listen": ""})
    return config.model_copy(update=update)


def postgres_connections(config: Config, count: int) -> int:
    """The most that `count` processes open. The first one has `postgres.pool_size`, as when it is alone."""
    size = config.postgres.pool_size
    return size + _OUTSIDE_POOL + (count - 1) * (_pool_of_further(size, count) + _OUTSIDE_POOL)


def _pool_of_further(pool_size: int, count: int) -> int:
    """Half of a pool is for calls of the API, which further processes do not have. More than two share two pools."""
    return max(MIN_POOL, min(pool_size // 2, 2 * pool_size // max(1, count - 1)))
