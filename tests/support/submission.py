"""A running submission server on loopback, and the credentials of its tenant."""

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from kannon.accept.key_usage import KeyUsage
from kannon.accept.limiter import SendLimiter
from kannon.accept.sending_key import sending_key
from kannon.accept.service import AcceptService
from kannon.components.submission import Submission
from kannon.config import Submission as Settings
from kannon.db.pool import Database
from kannon.mail.send_request import Limits as SendLimits
from kannon.metrics.names import SessionResult
from kannon.smtp_server import Limits
from kannon.wire.sends import SendResCodec
from tests.support.api import NoBus
from tests.support.inbound import Peer
from tests.support.patience import patience

DOMAIN, KEY = "example.com", "k_" + "A" * 64
CREDENTIALS = f"\0{DOMAIN}\0{KEY}"
MESSAGE = b"From: News <news@example.com>\r\nTo: bob@example.net\r\nSubject: Hi\r\n\r\nHello\r\n"


@dataclass
class Ended:
    """The metrics of submission."""

    results: list[SessionResult] = field(default_factory=list)

    def submission_ended(self, result: SessionResult) -> None:
        self.results.append(result)


@dataclass
class Running:
    component: Submission
    metrics: Ended
    stop: anyio.Event

    @asynccontextmanager
    async def connect(self, *, greet: bool = True, number: int = 0) -> AsyncIterator[Peer]:
        """Connected and, with `greet`, past EHLO. All of it has ten seconds."""
        with patience():
            async with await anyio.connect_tcp(*self.component.addresses[number]) as stream:
                peer = Peer(stream)
                if greet:
                    assert (await peer.reply()).startswith("220 ")
                    assert (await peer.say("EHLO client.example")).startswith("250-")
                yield peer

    @asynccontextmanager
    async def logged_in(self) -> AsyncIterator[Peer]:
        async with self.connect() as peer:
            assert await peer.say(plain()) == "235 2.7.0 Authentication succeeded"
            yield peer


def plain(text: str = CREDENTIALS) -> str:
    import base64

    return "AUTH PLAIN " + base64.b64encode(text.encode()).decode()


async def insert_key(db: Database, domain: str = DOMAIN, key: str = KEY) -> None:
    async with db.acquire() as connection:
        await connection.execute("INSERT INTO domains (domain) VALUES ($1) ON CONFLICT DO NOTHING", domain)
        await connection.execute(
            "INSERT INTO api_keys (id, domain, name, prefix, secret_sha256) VALUES ($1, $2, 'test', 'k_AAAAAA', $3)",
            f"key_{domain}"[:28],
            domain,
            hashlib.sha256(key.encode()).digest(),
        )


@asynccontextmanager
async def running(db: Database, *, limits: Limits | None = None, **settings: Any) -> AsyncIterator[Running]:
    await insert_key(db)
    accept = AcceptService(db, SendLimits(1 << 20, 1000), NoBus(), SendResCodec(), SendLimiter())
    fail_fast = db.fail_fast()
    usage = KeyUsage(fail_fast)

    metrics = Ended()
    chosen = Settings(listen="127.0.0.1:0", hostname="mail.example.com", **settings)
    component = Submission(chosen, 1 << 20, accept, sending_key(fail_fast, usage), usage, metrics, limits)
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(component.run, stop)
        try:
            yield Running(component, metrics, stop)
        finally:
            stop.set()


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def logging_in(address: tuple[str, int], credentials: str = CREDENTIALS) -> AsyncIterator[int]:
    """The port of a relay for clients that cannot log in, as smtp-source: it opens a connection to the server at
    `address` for each, logs in, and then passes bytes."""

    async def relay(client: SocketStream) -> None:
        async with client, await anyio.connect_tcp(*address) as server, anyio.create_task_group() as group:
            peer = Peer(server)
            await peer.reply()
            await peer.say("EHLO relay")
            assert (await peer.say(plain(credentials))).startswith("235")
            await client.send(b"220 relay\r\n")
            group.start_soon(pump, client, server)
            await pump(server, client)
            group.cancel_scope.cancel()

    async def pump(source: SocketStream, target: SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await target.send(await source.receive())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, relay)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()
