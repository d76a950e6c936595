"""`kannon serve` as a separate process, for the end-to-end tests and the benchmarks.

In: a data directory and settings. Out: addresses, an admin client, the exit code. TEST_EXECUTABLE names another program
to start (the single executable) in place of this source tree; `program` is a whole command line instead.
"""

import os
import re
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from grpclib.client import Channel

from kannon.embedded import EmbeddedPostgres
from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import CreateAPIKeyRequest, CreateDomainRequest
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv1.statsapiv1_pb2 import GetStatsReq
from kannon.pb.stats.types.stats_pb2 import Stats
from tests.support.cipher import MASTER_KEY
from tests.support.command import command
from tests.support.made_data import copy_made_data
from tests.support.patience import PATIENCE_SECONDS, patience

_ADDRESS = re.compile(r"^  (API|opens and clicks|bounces|submission|metrics)[^:]* on (\S+):(\d+)$", re.M)
_NAMES = {
    "API": "api",
    "opens and clicks": "bump",
    "bounces": "smtp",
    "submission": "submission",
    "metrics": "metrics",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Kannon:
    """Listens on loopback. `extra` adds variables (KANNON_…), `unset` removes some. A new data directory may be a copy
    of one that was made before, unless `fresh` is set."""

    data_dir: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    unset: Sequence[str] = ()
    program: Sequence[str] = ()
    fresh: bool = False
    ports: dict[str, int] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    _starts: int = 0
    _clients: "list[Client]" = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}-{self._starts}.log"

    def start(self) -> "Kannon":
        self._starts += 1
        if not self.fresh and not self.program:
            copy_made_data(self.data_dir, self.extra, self.arguments)
        environ = {
            **os.environ,
            "KANNON_DATA_DIR": str(self.data_dir),
            "KANNON_API__LISTEN": "127.0.0.1:0",
            "KANNON_BUMP__LISTEN": "127.0.0.1:0",
            "KANNON_SMTP__LISTEN": "127.0.0.1:0",
            "KANNON_SUBMISSION__LISTEN": "127.0.0.1:0",
            "KANNON_METRICS__LISTEN": "127.0.0.1:0",
            **self.extra,
        }
        if "KANNON_POSTGRES__URL" in self.extra:
            environ.setdefault("KANNON_MASTER_KEY", MASTER_KEY)
        for name in self.unset:
            del environ[name]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*(self.program or command()), "serve", *self.arguments],
                env=environ,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
            )
        return self

    async def ready(self) -> "Kannon":
        """Waits for the banner and reads the addresses from it. AssertionError with the log if the process ends
        instead."""
        assert self.process is not None
        with patience():
            while "Kannon is ready" not in (text := self.text()) or not text.endswith("\n"):
                assert self.process.poll() is None, text
                await anyio.sleep(0.01)
        self.ports = {_NAMES[name]: int(port) for name, _, port in _ADDRESS.findall(text)}
        return self

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    async def ended(self) -> int:
        """Its exit code."""
        assert self.process is not None
        with patience():
            while (code := self.process.poll()) is None:
                await anyio.sleep(0.01)
        return code

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9 if it still runs; closes its clients."""
        for client in self._clients:
            client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def admin_token(self) -> str:
        return (self.data_dir / "admin_token").read_text().strip()

    def postgres_url(self) -> str:
        """The URL of the embedded database, for queries of a test."""
        return EmbeddedPostgres(self.data_dir).url

    def client(self) -> "Client":
        client = Client(Channel("127.0.0.1", self.ports["api"]), self.admin_token())
        self._clients.append(client)
        return client


@dataclass
class Client:
    """The calls of the API that tests use."""

    channel: Channel
    token: str
    credentials: dict[str, str] = field(default_factory=dict)

    @property
    def admin(self) -> dict[str, str]:
        return {"x-kannon-admin-token": self.token}

    async def add_domain(self, domain: str) -> str:
        """Registers the domain, creates an API key, and returns the public DKIM key."""
        api = ApiStub(self.channel)
        created = await api.CreateDomain(CreateDomainRequest(domain=domain), metadata=self.admin)
        key = await api.CreateAPIKey(CreateAPIKeyRequest(domain=domain, name="test"), metadata=self.admin)
        self.credentials[domain] = "Basic " + b64encode(f"{domain}:{key.key}".encode()).decode()
        return created.dkim_pub_key

    async def send(self, request: SendHTMLReq) -> SendRes:
        domain = request.sender.email.rsplit("@", 1)[1]
        metadata = {"authorization": self.credentials[domain]}
        return await MailerStub(self.channel).SendHTML(request, metadata=metadata)

    async def events(self, domain: str) -> list[Stats]:
        """All events of the domain, oldest first."""
        found: list[Stats] = []
        while True:
            request = GetStatsReq(domain=domain, skip=len(found), take=5000)
            answer = await StatsApiV1Stub(self.channel).GetStats(request, metadata=self.admin)
            found += answer.stats
            if len(found) >= answer.total or not answer.stats:
                return found[::-1]

    async def outcomes(self, domain: str, count: int) -> dict[str, str]:
        """Waits until `count` recipients have an outcome; returns address → type."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found: dict[str, str] = {}
            for event in await self.events(domain):
                if event.type in ("delivered", "bounced", "failed", "rejected"):
                    assert found.get(event.email, event.type) == event.type, f"two outcomes for {event.email}"
                    found[event.email] = event.type
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} outcomes"
            await anyio.sleep(0.05)

    def close(self) -> None:
        self.channel.close()
