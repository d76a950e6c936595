"""What a campaign runs against: one process with everything, or nine with external PostgreSQL and NATS.

In: a folder, the destinations' routes, the injected clock. Out: a running Kannon whose processes the faults kill,
freeze and start by name.
"""

import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from kannon.embedded import EmbeddedPostgres
from tests.support.kannon_process import Kannon, free_port
from tests.support.nats_cluster import Cluster, running_cluster
from tests.support.patience import patience
from tests.support.processes import command_line, descendants
from tests.torture.clock import Clock
from tests.torture.disk import Disk, mounted_disk

TOKEN = "torture" * 6
CONCURRENCY = 40
SETTINGS = {
    "KANNON_SENDER__TIMEOUT_SCALE": "0.02",  # the final dot has 12 s
    "KANNON_SENDER__CONCURRENCY": str(CONCURRENCY),
    "KANNON_RETRY__FIRST": "1s",
    "KANNON_RETRY__MAX": "5s",
    "KANNON_RETRY__WINDOW": "120s",
    "KANNON_API__ADMIN_TOKEN": TOKEN,
    "KANNON_DISK__RESERVE": "16MiB",
}
PARTS = {
    "api": "api",
    "validator": "validator",
    "stats": "stats",
    "dispatcher1": "dispatcher",
    "dispatcher2": "dispatcher",
    "sender1": "sender",
    "sender2": "sender",
}


@dataclass
class Layout:
    """`servers`: Kannon's processes by name. `cluster`, `postgres`: the external servers. `disk`: below the data of the
    embedded ones."""

    name: str
    api_port: int
    clock: Clock
    servers: dict[str, Kannon] = field(default_factory=dict)
    cluster: Cluster | None = None
    postgres: EmbeddedPostgres | None = None
    postgres_home: Path | None = None
    disk: Disk | None = None

    @property
    def database_url(self) -> str:
        return self.postgres.url if self.postgres is not None else self.servers["kannon"].postgres_url()

    def pid(self, name: str) -> int:
        """Of a process of Kannon's, or of a child that it has: postgres, nats or worker. LookupError without one."""
        if name in self.servers:
            process = self.servers[name].process
            assert process is not None
            return process.pid
        words = {"postgres": "postgres", "nats": "nats-server", "worker": "spawn_main"}
        for pid in descendants(self.pid(next(iter(self.servers)))):
            try:
                command = command_line(pid)
            except OSError:
                continue
            if any(words[name] in word for word in command):
                return pid
        raise LookupError(name)

    async def kill(self, name: str) -> None:
        """kill -9, and all children are gone too."""
        pids = [self.pid(name), *descendants(self.pid(name))]
        process = self.servers[name].process
        assert process is not None
        process.kill()
        process.wait()
        await _gone(pids)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.pid(name), number)

    def stop(self, name: str) -> "list[int]":
        """SIGSTOP; PostgreSQL's backends too. Returns the processes to wake again."""
        pid = self.pid(name)
        stopped = [pid, *(descendants(pid) if name == "postgres" else ())]
        for each in stopped:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        return stopped

    def start(self, name: str) -> None:
        self.servers[name].start()

    def stop_everything(self) -> None:
        for server in self.servers.values():
            if server.process is not None and server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
            server.kill()


async def _gone(pids: Sequence[int]) -> None:
    with patience():
        while any(_runs(pid) for pid in pids):
            await anyio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wake(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _settings(routes: Sequence[Mapping[str, Any]], port: int, clock: Clock) -> dict[str, str]:
    routed = {"KANNON_SENDER__ROUTES": json.dumps(routes), "KANNON_API__LISTEN": f"127.0.0.1:{port}"}
    return SETTINGS | routed | clock.environ


@asynccontextmanager
async def single(folder: Path, routes: Sequence[Mapping[str, Any]]) -> AsyncIterator[Layout]:
    """One process with embedded servers, on a disk of its own."""
    with mounted_disk(folder / "data") as disk:
        layout = Layout("single", free_port(), Clock(folder), disk=disk)
        layout.servers["kannon"] = Kannon(disk.place, _settings(routes, layout.api_port, layout.clock), fresh=True)
        try:
            await layout.servers["kannon"].start().ready()
            await layout.clock.install(layout.database_url)
            yield layout
        finally:
            layout.stop_everything()


@asynccontextmanager
async def cluster(folder: Path, routes: Sequence[Mapping[str, Any]]) -> AsyncIterator[Layout]:
    """Two senders, two dispatchers, api, validator and stats, each a process; three nats-servers; PostgreSQL."""
    (folder / "nats").mkdir()
    postgres = EmbeddedPostgres(folder / "postgres", max_connections=200)
    (folder / "postgres").mkdir(mode=0o711)
    with running_cluster(folder / "nats") as servers:
        await postgres.start()
        layout = Layout("cluster", free_port(), Clock(folder), cluster=servers, postgres=postgres)
        layout.postgres_home = folder / "postgres" / "postgres"
        shared = _settings(routes, layout.api_port, layout.clock) | {
            "KANNON_POSTGRES__URL": postgres.url,
            "KANNON_NATS__URL": servers.url,
            "KANNON_NATS__REPLICAS": "3",
        }
        try:
            await servers.ready()
            for name, component in PARTS.items():
                arguments = ("--only", component, *(("--migrate",) if name == "api" else ()))
                layout.servers[name] = Kannon(folder / name, shared, arguments).start()
                await layout.servers[name].ready()  # the api first, which migrates
            await layout.clock.install(postgres.url)
            yield layout
        finally:
            layout.stop_everything()
            await postgres.stop()


LAYOUTS = {"single": single, "cluster": cluster}
