"""Listens for SMTP, limits connections, and stops in two steps.

In: connections. Out: sessions (session.py). At `max_connections` a new connection gets 421, unless a session that has
proven nothing can end for it. With implicit TLS (RFC 8314 §3.3) a connection counts from before its handshake.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import anyio
import structlog

from kannon.config import split_listen
from kannon.errors import AddressInUse
from kannon.metrics.names import SessionResult
from kannon.smtp_server.limits import ConnectionLimiter, Limits
from kannon.smtp_server.session import OnSession, ServerSession

log = structlog.get_logger()

BACKLOG = 4096  # a full queue drops a SYN, and the peer tries again after one to three seconds
# aiosmtpd logs each line of each dialogue, addresses included.
logging.getLogger("mail.log").setLevel(logging.ERROR)

NewSession = Callable[[OnSession, OnSession], ServerSession]
"""Of the session's two callbacks: progress, and close."""


@dataclass(frozen=True, slots=True)
class Listener:
    """`key` is the configuration's, for errors. With `tls` each connection begins with a handshake."""

    key: str
    listen: str
    tls: ssl.SSLContext | None = None


class SmtpServer:
    """`ended` hears the result of each session, and of each connection that got none."""

    def __init__(self, limits: Limits, new_session: NewSession, ended: Callable[[SessionResult], None]) -> None:
        self._limits = limits
        self._new_session = new_session
        self._ended = ended
        self._connections = ConnectionLimiter(limits)
        self._sessions: dict[ServerSession, None] = {}  # ordered by the last progress, or the start
        self._empty = anyio.Event()
        self.addresses: list[tuple[str, int]] = []
        """Where it listens, once started."""

    async def run(self, listeners: Sequence[Listener], stop: anyio.Event, started: Callable[[], None]) -> None:
        """Serves until `stop`, then until the open transactions are finished. Raises AddressInUse."""
        servers: list[asyncio.Server] = []
        try:
            for listener in listeners:
                servers.append(await self._listen(listener))
            self.addresses = [socket.getsockname()[:2] for server in servers for socket in server.sockets]
            started()
            await stop.wait()
            for server in servers:
                server.close()
            for session in list(self._sessions):
                session.drain()
            await self._wait_until_empty()
        finally:
            for server in servers:
                server.close()
            for session in list(self._sessions):
                session.abort()
            with anyio.move_on_after(1, shield=True):
                await self._wait_until_empty()

    async def _wait_until_empty(self) -> None:
        while self._sessions:
            self._empty = anyio.Event()
            await self._empty.wait()

    async def _listen(self, listener: Listener) -> asyncio.Server:
        host, port = split_listen(listener.listen)
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(partial(Acceptor, self, listener.tls), host, port, backlog=BACKLOG)
        except OSError as error:
            raise AddressInUse.because(listener.key, listener.listen, error) from None

    @property
    def open_sessions(self) -> int:
        return len(self._sessions)

    def accept(self, peer: str) -> ServerSession | None:
        """A session for this peer; None at a limit."""
        if self._connections.allows(peer):
            if self._connections.full:
                self._end_one()
            if not self._connections.full:
                return self._open(peer)
        self._ended(SessionResult.REFUSED)
        return None

    def _open(self, peer: str) -> ServerSession:
        session = self._new_session(self._on_progress, partial(self._on_close, peer))
        self._connections.acquire(peer)
        self._sessions[session] = None
        return session

    def _end_one(self) -> None:
        """At the limit, ends the session that has proven nothing and came or progressed longest ago, even a busy one:
        an honest client proves itself at once, and a slow-loris attacker cannot. Where all are proven, ends the session
        that is idle longest, beyond a limit."""
        oldest = next((session for session in self._sessions if not session.is_proven), None)
        if oldest is None:
            oldest = min(self._sessions, key=lambda session: session.busy_since)
            if time.monotonic() - oldest.busy_since <= self._limits.idle_transaction_seconds:
                return
        oldest.end("421 4.3.2 Too many connections")
        oldest.abort()
        self._on_close(oldest.peer, oldest)

    def _on_progress(self, session: ServerSession) -> None:
        if session in self._sessions:
            del self._sessions[session]
            self._sessions[session] = None

    def _on_close(self, peer: str, session: ServerSession) -> None:
        if session in self._sessions:
            del self._sessions[session]
            self._connections.release(peer)
            self._ended(session.result)
        if not self._sessions:
            self._empty.set()


class Acceptor(asyncio.Protocol):
    """The first protocol of each connection: passes it to a session, or answers 421 and closes it at little cost."""

    def __init__(self, server: SmtpServer, tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._tls = tls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        session = self._server.accept(str(peername[0]) if peername else "")
        if session is None:
            if self._tls is None:
                transport.write(b"421 4.3.2 Too many connections, try again later\r\n")
            transport.close()
        elif self._tls is None:
            transport.set_protocol(session)
            session.connection_made(transport)
        else:
            session.begin_with_tls(transport, self._tls)
