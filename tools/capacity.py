"""How many mails a second machines make, and which part ends it first: a model with the constants of a bench's JSON.

    make bench ARGS="--json" | tail -1 > run.json
    python tools/capacity.py run.json [--cores N] [--postgres-cores N] [--nats-cores N] [--wal-mib N] [--syncs N]
    python tools/capacity.py --check one.json two.json

In: lines of JSON of `make bench`. Out: a table for 1, 2, 8 and 32 machines, with one machine for PostgreSQL and one for
NATS beside them (docs/scaling.md explains each part); with --check for each line the rate that the costs of the first
line give the machine and the moment of that run, and the measured one; exit code 1 where they differ by more than 15 %.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MACHINES: Final = (1, 2, 8, 32)
CLOSE_ENOUGH: Final = 0.15
NATS_CORES: Final = 4.0
"""That one server uses for one stream and its consumers; more cores do not help it."""


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU milliseconds, WAL bytes and syncs of one mail."""

    process: float
    worker: float
    postgres: float
    nats: float
    wal_bytes: float
    wal_syncs: float

    @property
    def machine(self) -> float:
        """On a machine without the servers."""
        return self.process + self.worker

    @property
    def all(self) -> float:
        return self.machine + self.postgres + self.nats


@dataclass(frozen=True, slots=True)
class Servers:
    """What the servers that all machines share have. `nats_streams`: kannon.sending divided between so many."""

    postgres_cores: float = 16.0
    nats_cores: float = 16.0
    wal_bytes: float = 400 * 2**20
    syncs: float = 4_000.0
    nats_streams: int = 1
    databases: int = 1


def read_costs(run: Mapping[str, Any]) -> Costs:
    cpu, shared = run["cpu_ms_per_mail"], run["postgres_per_mail"]
    return Costs(
        process=cpu["kannon"],
        worker=cpu.get("workers", 0.0),
        postgres=cpu["postgres"],
        nats=cpu["nats"],
        wal_bytes=shared["wal_bytes"],
        wal_syncs=shared["wal_syncs"],
    )


def one_machine(costs: Costs, cores: float, processes: int, workers: int = 1) -> dict[str, float]:
    """Mails a second that each part of a machine with everything on it allows. `cores`: those that Kannon gets."""
    return {
        "cores": cores / costs.all * 1000,
        "processes": processes / costs.process * 1000,
        "build workers": processes * max(1, workers) / costs.worker * 1000 if costs.worker else float("inf"),
    }


def cluster(costs: Costs, machines: int, cores: float, servers: Servers) -> dict[str, float]:
    """Mails a second that each part of a cluster allows; each machine has a process for each of its cores but one."""
    nats_cores = min(servers.nats_cores, NATS_CORES * servers.nats_streams)
    return {
        "machines": machines * cores / costs.machine * 1000,
        "processes": machines * max(1, cores - 1) / max(costs.process, costs.worker) * 1000,
        "PostgreSQL: processor": servers.databases * servers.postgres_cores / costs.postgres * 1000,
        "PostgreSQL: WAL bytes": servers.databases * servers.wal_bytes / costs.wal_bytes,
        # Commits that wait together share a sync, so a mail needs fewer of them the more there are; this is the worst.
        "PostgreSQL: WAL syncs": servers.databases * servers.syncs / costs.wal_syncs,
        "NATS: processor": nats_cores / costs.nats * 1000,
    }


def first_end(parts: Mapping[str, float]) -> tuple[str, float]:
    name = min(parts, key=lambda each: parts[each])
    return name, parts[name]


def check(runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the costs of the first run give every run its measured rate. What other programs used of the machine was
    not Kannon's. (By its own costs a run on a machine without idle time has its measured rate in any case.)"""
    costs, close = read_costs(runs[0]), True
    print(f"{'processes':>9}  {'model':>7}  {'measured':>8}  {'':>6}  ends first")
    for run in runs:
        available = run["cores"] - run["cores_of_others"]
        part, rate = first_end(one_machine(costs, available, run["processes"]))
        measured = run["mails_per_second"]
        error = measured / rate - 1
        close = close and abs(error) <= CLOSE_ENOUGH
        print(f"{run['processes']:>9}  {rate:>7,.0f}  {measured:>8,.0f}  {error:>+6.0%}  {part}")
    return close


def show(costs: Costs, cores: float, servers: Servers) -> None:
    part, rate = first_end(one_machine(costs, cores, int(max(1, cores - 1))))
    print(f"everything on one machine of {cores:g} cores: {rate:,.0f} mails a second, ends: {part}")
    print(f"{'machines':>8}  {'mails a second':>14}  ends first, then")
    for machines in MACHINES:
        parts = cluster(costs, machines, cores, servers)
        order = sorted(parts, key=lambda each: parts[each])
        rest = ", ".join(f"{name} {parts[name]:,.0f}" for name in order[1:3])
        print(f"{machines:>8}  {parts[order[0]]:>14,.0f}  {order[0]}; {rest}")


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines() if line.startswith("{")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="files with lines of JSON of make bench")
    parser.add_argument("--check", action="store_true", help="compare the model with the runs")
    parser.add_argument("--cores", type=float, default=8, help="of each machine")
    defaults = Servers()
    parser.add_argument("--postgres-cores", type=float, default=defaults.postgres_cores)
    parser.add_argument("--nats-cores", type=float, default=defaults.nats_cores)
    parser.add_argument(
        "--wal-mib", type=float, default=defaults.wal_bytes / 2**20, help="that the disk writes a second"
    )
    parser.add_argument("--syncs", type=float, default=defaults.syncs, help="that the disk makes a second")
    parser.add_argument("--nats-streams", type=int, default=1, help="that kannon.sending is divided between")
    parser.add_argument("--databases", type=int, default=1, help="that the tenants are divided between")
    arguments = parser.parse_args()
    runs = read(arguments.runs)
    if not runs:
        parser.error("no line of JSON in these files")
    if arguments.check:
        sys.exit(0 if check(runs) else 1)
    servers = Servers(
        arguments.postgres_cores,
        arguments.nats_cores,
        arguments.wal_mib * 2**20,
        arguments.syncs,
        arguments.nats_streams,
        arguments.databases,
    )
    show(read_costs(runs[-1]), arguments.cores, servers)


if __name__ == "__main__":
    main()
