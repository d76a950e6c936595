"""Three nats-servers of one cluster on loopback, each a process that a test can kill and start again.

In: a folder. Out: the URLs of the running servers, and the leader of a stream.
"""

import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from kannon.embedded import executables
from tests.support.kannon_process import free_port
from tests.support.patience import patience

SIZE = 3
_SETTINGS = """
server_name: n{number}
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/n{number}" }}
cluster {{ name: test, listen: "127.0.0.1:{route}", routes: [{routes}], no_advertise: true }}
"""


class Cluster:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [free_port() for _ in range(SIZE)]
        routes = [free_port() for _ in range(SIZE)]
        others = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
        for number, (port, route) in enumerate(zip(self._ports, routes, strict=True)):
            text = _SETTINGS.format(number=number, port=port, route=route, routes=others, folder=folder)
            (folder / f"n{number}.conf").write_text(text)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{port}" for port in self._ports)

    def start(self, number: int) -> None:
        command = [str(executables.installed_nats_server()), "-c", str(self._folder / f"n{number}.conf")]
        with (self._folder / f"n{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def signal(self, number: int, which: signal.Signals) -> None:
        self._processes[number].send_signal(which)

    def forget(self, number: int) -> None:
        """Deletes all that a killed server has stored."""
        shutil.rmtree(self._folder / f"n{number}")

    def kill_all(self) -> None:
        for number in list(self._processes):
            self.kill(number)

    async def ready(self) -> None:
        """Waits until JetStream has a leader."""
        with patience():
            while True:
                with suppress(NatsError, OSError, APIError):
                    async with _connected(self.url) as client:
                        await client.jetstream(timeout=2).account_info()
                        return
                await anyio.sleep(0.05)

    async def leader_of(self, stream: str) -> int:
        async with _connected(self.url) as client:
            info = await client.jetstream(timeout=5).stream_info(stream)
        assert info.cluster is not None
        assert info.cluster.leader is not None
        return int(info.cluster.leader.removeprefix("n"))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Client]:
    async def quiet(_: Exception) -> None:
        """Tests stop servers on purpose, so errors are not logged."""

    client = Client()
    try:
        await client.connect(url.split(","), error_cb=quiet, max_reconnect_attempts=1, connect_timeout=1)
        yield client
    finally:
        await client.close()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """The servers are started, but perhaps not ready."""
    cluster = Cluster(folder)
    try:
        for number in range(SIZE):
            cluster.start(number)
        yield cluster
    finally:
        cluster.kill_all()
