"""One SMTP connection: it moves the bytes of an exchange, keeps the deadlines, and ends with QUIT.

In: one `Exchange` at a time. Out: the same exchange, done. Every stage has a deadline for its whole reply, so a server
that sends a byte a second does not keep a connection. A body is written in blocks, each with a deadline, and at a
minimum rate. Callbacks instead of streams: a mail costs two writes, two reads and one wake-up of its task.
"""

import asyncio
from dataclasses import dataclass
from typing import cast

from kannon.mail.tls_report import TlsResult
from kannon.mail.verdict import Stage
from kannon.outbound.client.dialogue import Command, Exchange, Transaction
from kannon.outbound.client.message import Mail
from kannon.outbound.client.replies import SERVICE_CLOSING, Extensions, RawReply, ReplyReader
from kannon.outbound.trouble import Failure, Kind

# RFC 5321 §4.5.3.2: minimum time-outs, in seconds. The RFC names none for connecting.
STAGE_SECONDS = {
    Stage.CONNECT: 30.0,
    Stage.GREETING: 300.0,  # RFC 5321 §4.5.3.2.1: initial 220
    Stage.EHLO: 300.0,
    Stage.STARTTLS: 300.0,
    Stage.AUTH: 300.0,
    Stage.MAIL: 300.0,  # RFC 5321 §4.5.3.2.2: MAIL
    Stage.RCPT: 300.0,  # RFC 5321 §4.5.3.2.3: RCPT
    Stage.DATA: 120.0,  # RFC 5321 §4.5.3.2.4: DATA initiation
    Stage.BODY: 180.0,  # RFC 5321 §4.5.3.2.5: each block
    Stage.DOT: 600.0,  # RFC 5321 §4.5.3.2.6: DATA termination
}
MINIMUM_BYTES_PER_SECOND = 500
QUIT_SECONDS = 5.0  # RFC 5321 §4.1.1.10: the client reads the reply; nothing here depends on it
BLOCK = 64 << 10


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end. `preferred`: the destination has no host with a better preference. `tls`: empty for clear text."""

    host: str
    address: str
    preferred: bool = True
    tls: str = ""


class Session(asyncio.Protocol):
    """`Connector` makes it. One task at a time may use it: the site gives it to one delivery after another."""

    def __init__(self, scale: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._scale = scale
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._greeting = Command(Stage.GREETING, b"")
        self._exchange: Exchange | None = self._greeting
        self._waiter: asyncio.Future[None] | None = self._loop.create_future()
        self._lost: Failure | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._unwritten = memoryview(b"")
        self._body_deadline = 0.0
        self._paused = False
        self._quitting = False
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.peer = Peer("", "")
        self.extensions = Extensions()
        self.mails = 0
        self.idle_since = 0.0
        self.results: tuple[TlsResult, ...] = ()  # of TLS, of the attempts to connect too that failed before this one
        self.counted: set[str] = set()  # recipients' domains whose reports have these results

    # -- for callers

    async def command(self, stage: Stage, line: bytes) -> RawReply | Failure:
        """Sends one command and returns its reply, of any class."""
        exchange = Command(stage, line)
        await self._run(exchange)
        return exchange.outcome

    async def greeting(self) -> RawReply | Failure:
        """The server sends it unasked, perhaps before this is called: the exchange is open from the beginning."""
        await self._finished()
        return self._greeting.outcome

    async def send(self, mail: Mail) -> Transaction:
        """Sends one mail. Cancelling closes the connection, because the server's state is then unknown."""
        transaction = Transaction(mail, self.extensions, reset=self.mails > 0)
        self.mails += 1
        await self._run(transaction)
        if not transaction.reusable:
            self.abort()
        return transaction

    @property
    def lost(self) -> Failure | None:
        """How the connection ended; None while it is open. The stage is that of the open exchange."""
        return self._lost

    @property
    def usable(self) -> bool:
        return self._lost is None and not self._quitting

    @property
    def has_input(self) -> bool:
        """Bytes have been read that answer no command."""
        return self._reader.pending or self._lost is not None

    def quit(self) -> None:
        """RFC 5321 §4.1.1.10. Returns at once; `closed` is done when the connection has ended, after QUIT_SECONDS at
        the latest. Nothing here changes a verdict."""
        if not self.usable or self._transport is None:
            self.abort()
            return
        self._quitting = True
        self._transport.write(b"QUIT\r\n")
        self._set_deadline(QUIT_SECONDS * self._scale)

    def abort(self) -> None:
        self._quitting = True
        if self._transport is None:
            self.connection_lost(None)
        else:
            self._transport.abort()

    def replace_transport(self, transport: asyncio.Transport) -> None:
        """After STARTTLS. RFC 3207 §4.2: what EHLO offered before is forgotten; the caller sends EHLO again."""
        self._transport = transport
        self._reader = ReplyReader()

    @property
    def connected(self) -> bool:
        return self._transport is not None

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None, "the connector has connected it"  # noqa: S101  # for the type checker
        return self._transport

    async def _run(self, exchange: Exchange) -> None:
        if self._lost is not None or self._transport is None:
            lost = self._lost
            kind, reason = (lost.kind, lost.reason) if lost else (Kind.CLOSED, "connection closed")
            exchange.on_lost(Failure(kind, exchange.stage, reason=reason))
            return
        self._exchange = exchange
        self._waiter = self._loop.create_future()
        data = exchange.start()
        if data:
            self._transport.write(data)
        self._set_deadline(STAGE_SECONDS[exchange.stage] * self._scale)
        await self._finished()

    async def _finished(self) -> None:
        try:
            if self._waiter is not None:
                await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._exchange = self._waiter = None
            self._deadline = 0.0

    # -- for the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._set_deadline(STAGE_SECONDS[Stage.GREETING] * self._scale)

    def data_received(self, data: bytes) -> None:
        replies = self._reader.feed(data)
        for reply in replies:
            exchange = self._exchange
            if exchange is None or exchange.done:
                self._unasked(reply)
                return
            self._advance(exchange, reply)
        if self._reader.broken:
            self._fail(Kind.GARBAGE, self._reader.broken)
            self.abort()  # also when idle: no reply can be read any more

    def _advance(self, exchange: Exchange, reply: RawReply) -> None:
        parts = exchange.on_reply(reply)
        if exchange.done:
            self._finish()
            return
        if parts:
            self._write(exchange, parts)
        self._set_deadline(STAGE_SECONDS[exchange.stage] * self._scale)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fail(Kind.CLOSED, f"connection lost: {exc}" if exc else "connection closed by the peer")
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._exchange is not None and not self._exchange.done and self._exchange.stage is Stage.BODY:
            self._set_deadline(STAGE_SECONDS[Stage.BODY] * self._scale)
            self._write_blocks(self._exchange)

    # -- writing

    def _write(self, exchange: Exchange, parts: tuple[bytes, ...]) -> None:
        if exchange.stage is not Stage.BODY:
            self.transport.writelines(parts)
            return
        size = sum(map(len, parts))
        if size <= BLOCK:
            self.transport.writelines(parts)
            exchange.stage = Stage.DOT
            return
        self._unwritten = memoryview(b"".join(parts))
        self._body_deadline = self._loop.time() + self._scale * (
            STAGE_SECONDS[Stage.BODY] + size / MINIMUM_BYTES_PER_SECOND
        )
        self._write_blocks(exchange)

    def _write_blocks(self, exchange: Exchange) -> None:
        while self._unwritten and not self._paused and self._lost is None:
            if len(self._unwritten) <= BLOCK and not exchange.may_end():
                self._unwritten = memoryview(b"")
                self._finish()
                return
            self.transport.write(self._unwritten[:BLOCK])
            self._unwritten = self._unwritten[BLOCK:]
        if not self._unwritten and self._lost is None:
            exchange.stage = Stage.DOT
            self._set_deadline(STAGE_SECONDS[Stage.DOT] * self._scale)

    # -- deadlines: one timer for each connection, moved lazily, because most deadlines move forward only

    def _set_deadline(self, seconds: float) -> None:
        deadline = self._loop.time() + seconds
        if self._exchange is not None and self._exchange.stage is Stage.BODY:
            deadline = min(deadline, self._body_deadline)
        self._deadline = deadline
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline == 0.0:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
            return
        stage = self._exchange.stage if self._exchange is not None else Stage.DOT
        self._fail(Kind.TIMEOUT, f"timed out at {stage}")
        self.abort()

    # -- ends

    def _unasked(self, reply: RawReply) -> None:
        """A reply to no command: a 421 on an idle connection, the answer to QUIT, or a server out of step."""
        quitting = self._quitting
        kind = Kind.CLOSED if reply.code == SERVICE_CLOSING or quitting else Kind.GARBAGE
        self._fail(kind, f"unexpected reply: {reply.code} {reply.parsed().text}")
        self.abort()

    def _fail(self, kind: Kind, reason: str) -> None:
        if self._lost is None:
            stage = self._exchange.stage if self._exchange is not None else Stage.DOT
            self._lost = Failure(kind, stage, reason=reason)
        if self._exchange is not None and not self._exchange.done:
            self._exchange.on_lost(self._lost)
            self._finish()

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
