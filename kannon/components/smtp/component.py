"""The smtp component: listens, lets peers in or not, and stops in two steps.

In: connections on `smtp.listen`, with STARTTLS where a certificate is configured. Out: sessions (session.py).
Refuses: more than `smtp.max_connections` at once (421), unless somebody who has named no recipient can make room.
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

from kannon.components.smtp.handler import EventPublisher, MailHandler, Meter, Registry
from kannon.components.smtp.limits import ConnectionLimiter, Limits, Memory
from kannon.components.smtp.postmaster import PostmasterMailbox
from kannon.components.smtp.session import Shared, SmtpSession
from kannon.config import Smtp, split_listen
from kannon.errors import AddressInUse, ConfigError
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

BACKLOG = 4096  # a full queue drops a SYN, which costs an honest peer one to three seconds
# aiosmtpd logs every line of every dialogue, addresses included; our own log says what matters.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class InboundSmtp:
    """`config.hostname` is filled in (kannon.hostname); `registry` and `publisher` are the narrow views of database and
    bus; `limits` is given by tests."""

    name = "smtp"

    def __init__(
        self,
        config: Smtp,
        data_dir: Path,
        registry: Registry,
        publisher: EventPublisher,
        limits: Limits | None = None,
        meter: Meter = NULL_METRICS,
    ) -> None:
        self._config = config
        self._limits = limits or Limits(max_bytes=config.max_bytes, max_connections=config.max_connections)
        self._hostname = config.hostname
        limits = self._limits
        mailbox = PostmasterMailbox(data_dir / "postmaster", limits.max_unread, limits.max_unread_bytes)
        self._intake = MailHandler(registry, publisher, mailbox, self._hostname, meter=meter)
        self._places = ConnectionLimiter(self._limits)
        self._sessions: dict[SmtpSession, None] = {}  # whoever was of use last, or came last, is last
        self._shared: Shared | None = None
        self._empty = anyio.Event()
        self.addresses: list[tuple[str, int]] = []
        """Where it listens, once started."""

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serves until `stop`, then until the open transactions are finished. Raises AddressInUse or ConfigError."""
        tls = load_tls(self._config)
        self._shared = Shared(self._intake, self._limits, Memory(self._limits.max_memory), self._hostname, tls)
        server = await self._listen()
        try:
            self.addresses = [socket_.getsockname()[:2] for socket_ in server.sockets]
            log.info("smtp listens", addresses=self.addresses, hostname=self._hostname, tls=tls is not None)
            task_status.started()
            await stop.wait()
            server.close()
            for session in list(self._sessions):
                session.finish()
            await self._all_gone()
        finally:
            server.close()
            for session in list(self._sessions):
                session.abort()
            with anyio.move_on_after(1, shield=True):
                await self._all_gone()

    async def _all_gone(self) -> None:
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

    def let_in(self, peer: str) -> SmtpSession | None:
        """A session for this peer, or None when there is no place for it."""
        if self._shared is None or not self._places.may_enter(peer):
            return None
        if self._places.full:
            self._make_room()
            if self._places.full:
                return None
        session = SmtpSession(self._shared, self._useful, partial(self._gone, peer))
        self._places.enter(peer)
        self._sessions[session] = None
        return session

    def _make_room(self) -> None:
        """Slow-loris: when all places are taken, whoever has been of no use the longest goes, however busy: a server
        with a report names one of our recipients within moments, and hostile peers have none to name. Where all have,
        one that has been idle beyond a limit goes."""
        leaves = next((session for session in self._sessions if not session.has_recipient), None)
        if leaves is None:
            leaves = min(self._sessions, key=lambda session: session.busy_since)
            if time.monotonic() - leaves.busy_since <= self._limits.crowded_seconds:
                return
        leaves.end("421 4.3.2 Too many connections")
        leaves.abort()
        self._leave(leaves, leaves.peer)

    def _useful(self, session: SmtpSession) -> None:
        if session in self._sessions:
            del self._sessions[session]
            self._sessions[session] = None

    def _gone(self, peer: str, session: SmtpSession) -> None:
        self._leave(session, peer)

    def _leave(self, session: SmtpSession, peer: str) -> None:
        if session in self._sessions:
            del self._sessions[session]
            self._places.leave(peer)
        if not self._sessions:
            self._empty.set()


class Acceptor(asyncio.Protocol):
    """Stands at every new connection: hands it to a session, or says 421 and closes, at hardly any cost."""

    def __init__(self, component: InboundSmtp) -> None:
        self._component = component

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        session = self._component.let_in(str(peername[0]) if peername else "")
        if session is None:
            transport.write(b"421 4.3.2 Too many connections, try again later\r\n")
            transport.close()
            return
        transport.set_protocol(session)
        session.connection_made(transport)


def load_tls(config: Smtp) -> ssl.SSLContext | None:
    """None when no certificate is configured. Raises ConfigError naming the key."""
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
