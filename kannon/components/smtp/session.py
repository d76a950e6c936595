"""One inbound SMTP connection: aiosmtpd's dialogue under our limits.

In: a connection that was let in, an MailHandler. Out: replies; mail handed to the MailHandler, and 250 only when it
is stored.
aiosmtpd parses and sequences commands; replaced here is what it leaves open: deadlines for every phase, budgets of
commands and errors, a DATA reader whose memory is bounded, STARTTLS through the loop's public call, an address parser
for exactly the grammar of paths, and replies without versions or exception texts.
Message smuggling: only CRLF.CRLF ends a message. A bare LF or CR is content, never a line end (RFC 5321 §2.3.8), and
nothing is ever relayed, so nobody behind us can read it otherwise.
"""

import asyncio
import collections
import re
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from kannon.components.smtp.handler import MailHandler, Recipient
from kannon.components.smtp.limits import Limits, Memory
from kannon.components.smtp.postmaster import MailboxFull
from kannon.errors import Unavailable

log = structlog.get_logger()

# RFC 5321 §4.1.2: a path, possibly with an obsolete source route (appendix C), possibly empty, postmaster alone.
_PATH = re.compile(
    r'<(?:@[^<>@\s:]{1,255}(?:,@[^<>@\s:]{1,255}){0,20}:)?([^<>"\s]{0,320}|"[^"\r\n]{0,64}"@[^<>\s]{1,255})>[ \t]*(.*)',
    re.DOTALL,
)
_BARE = re.compile(r'([^<>"\s]{1,320})(?:[ \t]+(.*))?', re.DOTALL)
MAX_HEADER = 128 << 10  # where Received lines are counted
_RECEIVED = re.compile(rb"(?im)^received[ \t]*:")


class Transaction(Envelope):
    """The envelope under way, with what the MailHandler said of each recipient."""

    def __init__(self) -> None:
        super().__init__()
        self.recipients: list[Recipient] = []


class TooMuch(Exception):
    """The peer goes on and on sending a mail that is too large to be taken."""


class Ended(ConnectionResetError):
    """The last words are said; what the peer has sent beyond them is not read. aiosmtpd ends its loop on this class."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a server have in common."""

    intake: MailHandler
    limits: Limits
    memory: Memory
    hostname: str
    tls: ssl.SSLContext | None


class SmtpSession(SMTP):
    """`on_useful` is called when it named a recipient or its mail was stored; `on_close` once, when the connection is
    gone."""

    def __init__(
        self, shared: Shared, on_useful: Callable[["SmtpSession"], None], on_close: Callable[["SmtpSession"], None]
    ) -> None:
        limits = shared.limits
        # aiosmtpd keeps this in the class, shared by all connections, and every EHLO enlarges it.
        self.command_size_limits = collections.defaultdict(lambda: SMTP.command_size_limit)
        self.line_length_limit = limits.max_line
        super().__init__(
            self,
            data_size_limit=limits.max_bytes,
            enable_SMTPUTF8=True,
            hostname=shared.hostname,
            ident="ESMTP",
            tls_context=shared.tls,
            timeout=limits.command_seconds,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            loop=asyncio.get_running_loop(),
        )
        self._intake = shared.intake
        self._limits = limits
        self._memory = shared.memory
        self._on_useful = on_useful
        self._on_close = on_close
        self._deadline: asyncio.TimerHandle | None = None
        self._replies = 0
        self._errors = 0
        self._finishing = False
        self._ending = False
        self._handshaking = False
        self._lost = False
        self.peer = ""
        self.busy_since = time.monotonic()

    def __dir__(self) -> Iterable[str]:
        """aiosmtpd looks through all names of each new session for its verbs, four times; these are all it can use."""
        return _VERBS

    # The connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        self.peer = str(peername[0]) if peername else ""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self._limits.session_seconds, self._timeout_cb)
        if self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(_retrieve)

    def connection_lost(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(error)
        self._on_close(self)

    def _timeout_cb(self) -> None:
        self.end("421 4.4.2 Timeout, closing the connection")

    def _reset_timeout(self, duration: float | None = None) -> None:
        self.busy_since = time.monotonic()
        super()._reset_timeout(duration)

    @property
    def has_recipient(self) -> bool:
        """It has named somebody we take mail for, which a stranger cannot."""
        return isinstance(self.envelope, Transaction) and bool(self.envelope.recipients)

    @property
    def in_transaction(self) -> bool:
        return self.envelope is not None and self.envelope.mail_from is not None

    def finish(self) -> None:
        """The open transaction may end, nothing new begins."""
        self._finishing = True
        if not self.in_transaction:
            self.end("421 4.3.2 Shutting down")

    def end(self, last_words: str) -> None:
        """Says it and closes; a peer that does not read is cut after linger_seconds."""
        if self._ending or self.transport is None:
            return
        self._ending = True
        if self._handshaking:
            self.abort()
            return
        self._writer.write(last_words.encode("ascii") + b"\r\n")
        self._writer.close()
        self.loop.call_later(self._limits.linger_seconds, self.abort)

    def abort(self) -> None:
        for transport in (self.transport, self._original_transport):
            if transport is not None:
                cast(asyncio.WriteTransport, transport).abort()  # uvloop's are no instances of asyncio's classes

    # Replies

    async def push(self, status: str | bytes) -> None:
        """Counts replies and errors; raises Ended when a budget is spent, or the session is over already."""
        if self._ending:
            raise Ended
        line = status.encode("ascii", "replace") if isinstance(status, str) else status
        await super().push(line.replace(b"\r", b" ").replace(b"\n", b" "))
        if line[3:4] == b"-":
            return
        self._replies += 1
        self._errors += line[:1] in b"45"
        if self._errors >= self._limits.max_errors:
            self.end("421 4.7.0 Too many errors")
        elif self._replies >= self._limits.max_commands:
            self.end("421 4.7.0 Too many commands")
        elif self._finishing and not self.in_transaction:
            self.end("421 4.3.2 Shutting down")
        if self._ending:
            raise Ended

    async def handle_exception(self, error: Exception) -> str:
        """A bug of ours, or aiosmtpd's; the peer learns nothing but to try again."""
        log.error("smtp session failed", peer=self.peer, exc_info=error)
        return "451 4.3.0 Local error, try again later"

    # Commands

    def _create_envelope(self) -> Envelope:
        return Transaction()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        match = _PATH.fullmatch(arg) or _BARE.fullmatch(arg)
        if match is None or any(ord(c) < 0x20 or ord(c) == 0x7F for c in match[1]):
            return None, None
        return match[1] or "<>", match[2] or ""

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        offered = [line for line in responses[1:] if not line.startswith(("250-AUTH", "250 HELP"))]
        return [responses[0], *offered, "250 ENHANCEDSTATUSCODES"]

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        transaction = cast(Transaction, envelope)
        if len(transaction.recipients) >= self._limits.max_recipients:
            return "452 4.5.3 Too many recipients"
        try:
            recipient = await self._intake.find_recipient(address)
        except Unavailable as error:
            log.warning("recipient not looked up", peer=self.peer, reason=str(error))
            return "451 4.3.0 Not able to look that up now, try again later"
        if recipient is None:
            log.info("recipient refused", peer=self.peer)
            return "550 5.1.1 No such address here"
        transaction.recipients.append(recipient)
        transaction.rcpt_tos.append(address)
        self._on_useful(self)
        return "250 2.1.5 OK"

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

    async def smtp_STARTTLS(self, arg: str) -> None:
        if arg:
            await self.push("501 5.5.4 STARTTLS takes no argument")
            return
        if self.tls_context is None:
            await self.push("502 5.5.1 Not implemented")
            return
        if self._tls_protocol is not None:
            await self.push("503 5.5.1 TLS is already in use")
            return
        await self.push("220 2.0.0 Ready to start TLS")
        # RFC 3207 §4.2: nothing said in the clear counts any more, neither what waits unread in the buffer.
        self._reader._buffer.clear()  # type: ignore[attr-defined]  # asyncio has no public way to drop what was read
        clear = self._original_transport = cast(asyncio.WriteTransport, self.transport)
        seconds = self._limits.tls_seconds
        self._reset_timeout(seconds)
        self._handshaking = True
        try:
            transport = await self.loop.start_tls(
                clear, self, self.tls_context, server_side=True, ssl_handshake_timeout=seconds
            )
        except (OSError, ssl.SSLError) as error:
            log.info("TLS handshake failed", peer=self.peer, reason=str(error))
            transport = None
        self._handshaking = False
        if transport is None:
            # asyncio tells us of a connection lost in the handshake by this alone.
            self.abort()
            self.connection_lost(None)
            raise Ended
        self._enter_tls(transport)

    def _enter_tls(self, transport: asyncio.Transport) -> None:
        # As StreamWriter.start_tls does it; that one cannot stand a peer that hangs up in the middle.
        self._writer._transport = transport  # type: ignore[attr-defined]
        self._reader._transport = transport  # type: ignore[attr-defined]
        self.transport = transport
        self._tls_protocol = transport.get_extra_info("ssl_object")
        self.session = self._create_session()
        self.session.peer = transport.get_extra_info("peername")
        self.session.ssl = {"ssl_object": self._tls_protocol}
        self._set_rset_state()  # type: ignore[no-untyped-call]
        self._reset_timeout()

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
        self._reset_timeout(self._limits.data_seconds)
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = bytearray()
        try:
            problem = await self._read_content(content)
            self._reset_timeout(self._limits.store_seconds)
            reply = problem or await self._store(transaction, bytes(content))
        except TooMuch:
            self.end("421 4.3.4 Message far too large")
            raise Ended from None
        finally:
            self._memory.give_back(len(content))
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(reply)
        self._reset_timeout()

    async def _read_content(self, content: bytearray) -> str:
        """Fills `content`, without the dots. The reply that refuses the message, or "".

        A refused message is read to its end (RFC 5321 §4.2.5 has no place for a reply before that), but not kept.
        """
        size = 0
        problem = ""
        at_line_start = True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
                ends = True
            except asyncio.LimitOverrunError as overrun:
                piece = await self._reader.read(max(1, overrun.consumed))
                ends = False
                problem = problem or "500 5.5.2 Line too long"
            if at_line_start and piece == b".\r\n":
                return problem
            if at_line_start and piece.startswith(b"."):
                piece = piece[1:]  # RFC 5321 §4.5.2
            at_line_start = ends
            size += len(piece)
            if size > self._limits.max_bytes:
                problem = problem or "552 5.3.4 Message too large"
            if size > 2 * self._limits.max_bytes + self._limits.max_line:
                raise TooMuch
            if not problem and not self._memory.take(len(piece)):
                problem = "452 4.3.1 Too much mail at once, try again later"
            if not problem:
                content += piece
            elif content:
                self._memory.give_back(len(content))
                content.clear()

    async def _store(self, transaction: Transaction, content: bytes) -> str:
        header = content[:MAX_HEADER].partition(b"\r\n\r\n")[0]
        if len(_RECEIVED.findall(header)) > self._limits.max_received:
            return "554 5.4.6 Too many hops"  # RFC 5321 §6.3
        try:
            await self._intake.take(transaction.recipients, transaction.mail_from or "<>", self.peer, content)
        except MailboxFull:
            log.warning("the postmaster's mailbox is full", peer=self.peer)
            return "452 4.3.1 Mailbox full"
        except Unavailable as error:
            log.warning("report not stored", peer=self.peer, reason=str(error))
            return "451 4.3.0 Not able to store it now, try again later"
        self._on_useful(self)
        return "250 2.0.0 OK"


_VERBS = tuple(name for name in dir(SmtpSession) if name.startswith(("smtp_", "handle_")))


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """The peer's reset ends the dialogue with an exception that nobody else asks for."""
    if not task.cancelled() and task.exception() is not None:
        log.debug("smtp session ended", reason=repr(task.exception()))
