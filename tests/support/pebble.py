"""Pebble, the ACME server that Let's Encrypt tests clients with, as a process on loopback.

In: the port where it looks for challenges and a name server. Out: a directory, and the root that it issues from.
"""

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import httpx

from tests.support.certificates import Authority
from tests.support.kannon_process import free_port
from tests.support.patience import patience

_MODULE: Final = "github.com/letsencrypt/pebble/v2/cmd/pebble@v2.7.0"
_FOLDER: Final = Path(__file__).parents[2] / "build" / "go"


def build_pebble() -> Path:
    """Seconds where Go's cache has it."""
    program = _FOLDER / "pebble"
    if not program.exists():
        assert shutil.which("go"), "go is missing; see packaging/install-test-packages"
        subprocess.run(["go", "install", _MODULE], env={**os.environ, "GOBIN": str(_FOLDER)}, check=True)
    return program


@dataclass
class Pebble:
    """`ca` signs its own certificate; `root` is what it issues from."""

    folder: Path
    ca: Authority
    http_port: int
    nameserver: str
    bad_nonces: int = 20
    seconds: int = 7776000
    process: "subprocess.Popen[bytes] | None" = None
    port: int = 0
    management: int = 0

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    async def start(self) -> None:
        self.port, self.management = self.port or free_port(), self.management or free_port()
        pair = str(self.ca.issue_file("localhost"))
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": pair,
            "privateKey": pair,
            "httpPort": self.http_port,
            "tlsPort": 1,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "for tests", "validityPeriod": self.seconds}},
        }
        file = self.folder / "pebble.json"
        file.write_text(json.dumps({"pebble": settings}))
        environ = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(self.bad_nonces)}
        argv = [str(build_pebble()), "-config", str(file), "-dnsserver", self.nameserver]
        with (self.folder / "pebble.log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=environ, stdout=log, stderr=log)
        with patience():
            while True:
                try:
                    await self.root()
                except httpx.TransportError:
                    assert self.process.poll() is None, (self.folder / "pebble.log").read_text()
                    await anyio.sleep(0.02)
                else:
                    return

    async def root(self) -> str:
        """PEM. Differs at each start."""
        context = ssl.create_default_context(cafile=self.ca.pem)
        async with httpx.AsyncClient(verify=context) as client:
            return (await client.get(f"https://localhost:{self.management}/roots/0")).text

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@asynccontextmanager
async def running_pebble(folder: Path, ca: Authority, http_port: int, nameserver: str) -> AsyncIterator[Pebble]:
    pebble = Pebble(folder, ca, http_port, nameserver)
    await pebble.start()
    try:
        yield pebble
    finally:
        pebble.stop()
