"""One SMTP connection of anyone: commands, replies and their limits.

In: an accepted connection. Out: replies; what a subclass decides about recipients and messages. dialogue.py adapts
aiosmtpd; this module adds deadlines for each phase, limits of commands and errors, DATA in bounded memory, and replies
with an enhanced status (RFC 2034) and without versions or exception texts.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from kannon.metrics.names import SessionResult
from kannon.server_tls import ServerTls
from kannon.smtp_server.content import TooMuchData, read_content
from kannon.smtp_server.dialogue import Dialogue, Ended, Transaction
from kannon.smtp_server.limits import Limits, Memory

log = structlog.get_logger()

OnSession = Callable[["ServerSession"], None]
_HAS_STATUS = re.compile(rb"\d{3}[ -][245]\.\d{1,3}\.\d{1,3} ")
_STATUSES = {b"500": b"5.5.2", b"501": b"5.5.4", b"502": b"5.5.1", b"503": b"5.5.1", b"552": b"5.3.4", b"555": b"5.5.4"}
"""RFC 3463, for aiosmtpd's own refusals."""
_PRINTABLE = bytes(b if b == 9 or 32 <= b <= 126 else ord(" ") for b in range(256))
"""RFC 5321 §4.2: the text of a reply. aiosmtpd repeats a command that it does not know."""
_LAST_UNRECOGNIZED = b"502 5.5.1 Too many unrecognized"
"""aiosmtpd closes the connection after it. RFC 5321 §3.8: the reply to that command is 421."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The part that all sessions of a server share."""

    limits: Limits
    memory: Memory
    hostname: str
    tls: ServerTls | None


class ServerSession(Dialogue):
    """`on_progress` is called when the session has proven itself, or a message is stored; `on_close` once, when the
    connection is closed."""

    def __init__(self, shared: Shared, on_progress: OnSession, on_close: OnSession) -> None:
        # STARTTLS is offered once there is a certificate.
        tls = shared.tls.context if shared.tls is not None and shared.tls.ready else None
        super().__init__(shared.hostname, tls, shared.limits)
        self._memory = shared.memory
        self._on_progress = on_progress
        self._on_close = on_close
        self._deadline: asyncio.TimerHandle | None = None
        self._replies = 0
        self._errors = 0
        self._draining = False
        self._lost = False
        self.result = SessionResult.IDLE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self._limits.session_seconds, self._timeout_cb)

    def connection_lost(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self.session is not None:  # else the handshake before the greeting has failed
            super().connection_lost(error)
        self._on_close(self)

    @property
    def is_proven(self) -> bool:
        """It has shown that it has business here."""
        return self.has_recipient

    async def store(self, transaction: Transaction, content: bytes) -> str:
        """The reply, once the message is stored or refused."""
        raise NotImplementedError

    def drain(self) -> None:
        """Lets the open transaction end; no other begins."""
        self._draining = True
        if not self.in_transaction:
            self.end("421 4.3.2 Shutting down")

    async def push(self, status: str | bytes) -> None:
        """Counts replies and errors. Raises Ended at a limit, and when the session has ended."""
        if self.ending:
            raise Ended
        line = status.encode("ascii", "replace") if isinstance(status, str) else status
        if line.startswith(_LAST_UNRECOGNIZED):
            self.end("421 4.7.0 Too many unrecognized commands")
            raise Ended
        if line[:1] == b"5" and line[:3] in _STATUSES and not _HAS_STATUS.match(line):
            line = line[:4] + _STATUSES[line[:3]] + b" " + line[4:].removeprefix(b"Error: ")
        await super().push(line.translate(_PRINTABLE))
        if line[3:4] == b"-":
            return
        self._replies += 1
        self._errors += line[:1] in b"45"
        if self._errors >= self._limits.max_errors:
            self.end("421 4.7.0 Too many errors")
        elif self._replies >= self._limits.max_commands:
            self.end("421 4.7.0 Too many commands")
        elif self._draining and not self.in_transaction:
            self.end("421 4.3.2 Shutting down")
        if self.ending:
            raise Ended

    async def handle_exception(self, error: Exception) -> str:
        """A bug, ours or aiosmtpd's. The reply has no details."""
        log.error("SMTP session failed", peer=self.peer, exc_info=error)
        return "451 4.3.0 Local error, try again later"

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        offered = [line for line in responses[1:] if not line.startswith(("250-AUTH", "250 HELP"))]
        return [responses[0], *offered, *self.further_extensions(), "250 ENHANCEDSTATUSCODES"]

    def further_extensions(self) -> list[str]:
        """Lines of the answer to EHLO."""
        return []

    async def handle_RSET(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        return "250 2.0.0 OK"

    async def handle_NOOP(self, _server: SMTP, _session: Session, _envelope: Envelope, _arg: str | None) -> str:
        return "250 2.0.0 OK"

    async def smtp_QUIT(self, _arg: str | None) -> None:
        self.end("221 2.0.0 Bye")
        raise Ended

    async def smtp_VRFY(self, _arg: str) -> None:
        await self.push("252 2.1.5 Send some mail and see")  # RFC 5321 §3.5.3

    async def smtp_HELP(self, _arg: str) -> None:
        await self.push("214 2.0.0 RFC 5321")

    async def smtp_EXPN(self, _arg: str) -> None:
        await self.push("502 5.5.1 Not implemented")

    async def smtp_AUTH(self, _arg: str) -> None:
        await self.push("502 5.5.1 Not implemented")

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        transaction = self.envelope
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        if not isinstance(transaction, Transaction) or not transaction.recipients:
            await self.push("503 5.5.1 Need a recipient first")
            return
        self.restart_timer(self._limits.data_seconds)
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = bytearray()
        try:
            refusal = await read_content(self.reader, content, self._limits, self._memory)
            self.restart_timer(self._limits.store_seconds)
            reply = refusal or await self.store(transaction, bytes(content))
        except TooMuchData:
            self.end("421 4.3.4 Message far too large")
            raise Ended from None
        finally:
            self._memory.release(len(content))
        self.end_transaction()
        await self.push(reply)
        self.restart_timer()

    def note(self, result: SessionResult) -> None:
        """The first one in the order of SessionResult stays."""
        order = list(SessionResult)
        self.result = min(self.result, result, key=order.index)
