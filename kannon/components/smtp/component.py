"""The smtp component: listens, limits connections, and stops in two steps.

In: connections on `smtp.listen`, with STARTTLS where a certificate is configured. Out: sessions (session.py). At
`smtp.max_connections` a new connection gets 421, unless a session without an accepted recipient can end for it.
"""

import asyncio
import logging
import ssl
import time
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.components.smtp.handler import EventPublisher, MailHandler, Metrics, Registry
from kannon.components.smtp.limits import ConnectionLimiter, Limits, Memory
from kannon.components.smtp.postmaster import PostmasterMailbox
from kannon.components.smtp.session import Shared, SmtpSession
from kannon.config import Smtp, split_listen
from kannon.errors import AddressInUse, ConfigError
from kannon.metrics.names import SessionResult
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

BACKLOG = 4096  # a full queue drops a SYN, and the peer tries again after one to three seconds
# aiosmtpd logs each line of each dialogue, addresses included.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class InboundSmtp:
    """`config.hostname` is resolved (kannon.hostname). `registry` is the database, `publisher` the bus. `limits` is for
    tests."""

    name = "smtp"

    def __init__(
        self,
        config: Smtp,
        data_dir: Path,
        registry: Registry,
        publisher: EventPublisher,
        limits: Limits | None = None,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._config = config
        self._limits = limits or Limits(max_bytes=config.max_bytes, max_connections=config.max_connections)
        self._hostname = config.hostname
        limits = self._limits
        mailbox = PostmasterMailbox(data_dir / "postmaster", limits.max_unread, limits.max_unread_bytes)
        self._handler = MailHandler(registry, publisher, mailbox, self._hostname, metrics=metrics)
        self._metrics = metrics
        self._connections = ConnectionLimiter(self._limits)
        self._sessions: dict[SmtpSession, None] = {}  # ordered by the last progress, or the start
        self._shared: Shared | None = None
        self._empty = anyio.Event()
        self.addresses: list[tuple[str, int]] = []
        """Where it listens, once started."""

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serves until `stop`, then until the open transactions are finished. Raises AddressInUse or ConfigError."""
        tls = load_tls(self._config)
        self._shared = Shared(self._handler, self._limits, Memory(self._limits.max_memory), self._hostname, tls)
        server = await self._listen()
        try:
            self.addresses = [socket_.getsockname()[:2] for socket_ in server.sockets]
            listening = [f"{host}:{port}" for host, port in self.addresses]
            log.info("smtp is listening", addresses=listening, hostname=self._hostname, tls=tls is not None)
            task_status.started()
            await stop.wait()
            server.close()
            for session in list(self._sessions):
                session.drain()
            await self._wait_until_empty()
        finally:
            server.close()
            for session in list(self._sessions):
                session.abort()
            with anyio.move_on_after(1, shield=True):
                await self._wait_until_empty()

    async def _wait_until_empty(self) -> None:
        while self._sessions:
            self._empty = anyio.Event()
            await self._empty.wait()

    async def _listen(self) -> asyncio.Server:
        host, port = split_listen(self._config.listen)
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(partial(Acceptor, self), host, port, backlog=BACKLOG)
        except OSError as error:
            raise AddressInUse.because("smtp.listen", self._config.listen, error) from None

    def inbound_sessions(self) -> int:
        """The number of open sessions."""
        return len(self._sessions)

    def accept(self, peer: str) -> SmtpSession | None:
        """A session for this peer; None at a limit."""
        if self._shared is not None and self._connections.allows(peer):
            if self._connections.full:
                self._end_one()
            if not self._connections.full:
                return self._open(self._shared, peer)
        self._metrics.session_ended(SessionResult.REFUSED)
        return None

    def _open(self, shared: Shared, peer: str) -> SmtpSession:
        session = SmtpSession(shared, self._on_progress, partial(self._on_close, peer))
        self._connections.acquire(peer)
        self._sessions[session] = None
        return session

    def _end_one(self) -> None:
        """At the limit, ends the session without an accepted recipient that came or progressed longest ago, even a busy
        one: a server with a report names a recipient at once, and a slow-loris attacker has none to name. Where all
        have one, ends the session that is idle longest, beyond a limit."""
        oldest = next((session for session in self._sessions if not session.has_recipient), None)
        if oldest is None:
            oldest = min(self._sessions, key=lambda session: session.busy_since)
            if time.monotonic() - oldest.busy_since <= self._limits.idle_transaction_seconds:
                return
        oldest.end("421 4.3.2 Too many connections")
        oldest.abort()
        self._on_close(oldest.peer, oldest)

    def _on_progress(self, session: SmtpSession) -> None:
        if session in self._sessions:
            del self._sessions[session]
            self._sessions[session] = None

    def _on_close(self, peer: str, session: SmtpSession) -> None:
        if session in self._sessions:
            del self._sessions[session]
            self._connections.release(peer)
            self._metrics.session_ended(session.result)
        if not self._sessions:
            self._empty.set()


class Acceptor(asyncio.Protocol):
    """The first protocol of each connection: passes it to a session, or answers 421 and closes it at little cost."""

    def __init__(self, component: InboundSmtp) -> None:
        self._component = component

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        session = self._component.accept(str(peername[0]) if peername else "")
        if session is None:
            transport.write(b"421 4.3.2 Too many connections, try again later\r\n")
            transport.close()
            return
        transport.set_protocol(session)
        session.connection_made(transport)


def load_tls(config: Smtp) -> ssl.SSLContext | None:
    """None without a configured certificate. Raises ConfigError, which names the keys."""
    if not config.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or getattr(error, "reason", "") or "cannot be read"
        raise ConfigError(f"configuration: smtp.tls_cert, smtp.tls_key: {reason}") from None
    return context
