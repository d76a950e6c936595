"""aiosmtpd's SMTP dialogue under our rules: the only module that uses private parts of aiosmtpd.

In: an accepted connection. Out: calls of the methods `smtp_…` and `handle_…` of a subclass; how a connection ends.
aiosmtpd parses and sequences commands. This module replaces its STARTTLS by the event loop's public call, its address
parser by the grammar of paths, and its timer's effect. Private parts in use, which the next minor version may change
(pyproject.toml excludes it): `_handler_coroutine`, `_create_session`, `_create_envelope`, `_getaddr`, `_timeout_cb`,
`_reset_timeout`, `_set_rset_state`, `_set_post_data_state`, `_reader`, `_writer`, `_tls_protocol`,
`_original_transport`, and that the class finds its verbs by `dir(self)`.
"""

import asyncio
import collections
import re
import ssl
import time
from collections.abc import Iterable
from typing import Any, ClassVar, cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope

from kannon.log import describe
from kannon.smtp_server.limits import Limits

log = structlog.get_logger()

# RFC 5321 §4.1.2: a path, possibly with an obsolete source route (appendix C), possibly empty, postmaster alone.
_PATH = re.compile(
    r'<(?:@[^<>@\s:]{1,255}(?:,@[^<>@\s:]{1,255}){0,20}:)?([^<>"\s]{0,320}|"[^"\r\n]{0,64}"@[^<>\s]{1,255})>[ \t]*(.*)',
    re.DOTALL,
)
_BARE = re.compile(r'([^<>"\s]{1,320})(?:[ \t]+(.*))?', re.DOTALL)


class Transaction(Envelope):
    """The current mail transaction. `recipients` holds what the subclass of the dialogue found for each."""

    def __init__(self) -> None:
        super().__init__()
        self.recipients: list[Any] = []


class Ended(ConnectionResetError):
    """The last reply is sent and further input is not read. aiosmtpd ends its loop on this base class."""


class Dialogue(SMTP):
    """`peer` is the client's address, `busy_since` the time of its last command or reply."""

    _verbs: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._verbs = tuple(name for name in dir(cls) if name.startswith(("smtp_", "handle_")))

    def __init__(self, hostname: str, tls: ssl.SSLContext | None, limits: Limits) -> None:
        # aiosmtpd keeps this in the class, shared by all connections, and every EHLO enlarges it.
        self.command_size_limits = collections.defaultdict(lambda: SMTP.command_size_limit)
        self.line_length_limit = limits.max_line
        super().__init__(
            self,
            data_size_limit=limits.max_bytes,
            enable_SMTPUTF8=True,
            hostname=hostname,
            ident="ESMTP",
            tls_context=tls,
            timeout=limits.command_seconds,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            loop=asyncio.get_running_loop(),
        )
        self._limits = limits
        self._handshaking = False
        self._opening: asyncio.Task[None] | None = None
        self.ending = False
        self.peer = ""
        self.busy_since = time.monotonic()

    def __dir__(self) -> Iterable[str]:
        """aiosmtpd searches all names of each new session for its verbs, four times; this is the short list."""
        return self._verbs

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        self.peer = str(peername[0]) if peername else ""
        super().connection_made(transport)
        if self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(_retrieve)

    # The end of a connection

    def end(self, last_reply: str) -> None:
        """Sends the reply and closes. A peer that does not read is cut off after `linger_seconds`."""
        if self.ending or (self.transport is None and not self._handshaking):
            return
        self.ending = True
        if self._handshaking:
            self.abort()
            return
        self._writer.write(last_reply.encode("ascii") + b"\r\n")
        self._writer.close()
        self.loop.call_later(self._limits.linger_seconds, self.abort)

    def abort(self) -> None:
        for transport in (self.transport, self._original_transport):
            if transport is not None:
                cast(asyncio.WriteTransport, transport).abort()  # uvloop's are no instances of asyncio's classes

    def _timeout_cb(self) -> None:
        self.end("421 4.4.2 Timeout, closing the connection")

    def _reset_timeout(self, duration: float | None = None) -> None:
        self.busy_since = time.monotonic()
        super()._reset_timeout(duration)

    def restart_timer(self, seconds: float | None = None) -> None:
        """None: the limit between two commands."""
        self._reset_timeout(seconds)

    # Transactions

    def _create_envelope(self) -> Envelope:
        return Transaction()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        match = _PATH.fullmatch(arg) or _BARE.fullmatch(arg)
        if match is None or any(ord(c) < 0x20 or ord(c) == 0x7F for c in match[1]):
            return None, None
        return match[1] or "<>", match[2] or ""

    @property
    def has_recipient(self) -> bool:
        """A recipient was accepted."""
        return isinstance(self.envelope, Transaction) and bool(self.envelope.recipients)

    @property
    def in_transaction(self) -> bool:
        return self.envelope is not None and self.envelope.mail_from is not None

    @property
    def reader(self) -> asyncio.StreamReader:
        reader: asyncio.StreamReader = self._reader
        return reader

    def end_transaction(self) -> None:
        self._set_post_data_state()  # type: ignore[no-untyped-call]

    # TLS

    def begin_with_tls(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """RFC 8314 §3.3: the handshake comes before the greeting. Call it in place of `connection_made`."""
        peername = transport.get_extra_info("peername")
        self.peer = str(peername[0]) if peername else ""
        self._original_transport = transport
        self._handshaking = True
        self._opening = self.loop.create_task(self._open_tls(transport, tls))
        self._opening.add_done_callback(_retrieve)

    async def _open_tls(self, clear: asyncio.Transport, context: ssl.SSLContext) -> None:
        tls = await self._shake_hands(clear, context)
        if tls is None or self.ending:
            self.abort()
            self.connection_lost(None)
            return
        self.connection_made(tls)
        self._tls_protocol = tls.get_extra_info("ssl_object")
        if self.session is not None:
            self.session.ssl = {"ssl_object": self._tls_protocol}

    async def _shake_hands(self, clear: asyncio.WriteTransport, context: ssl.SSLContext) -> asyncio.Transport | None:
        seconds = self._limits.tls_seconds
        self._handshaking = True
        try:
            return await self.loop.start_tls(clear, self, context, server_side=True, ssl_handshake_timeout=seconds)
        except (OSError, ssl.SSLError) as error:
            log.info("TLS handshake failed", peer=self.peer, reason=str(error))
            return None
        finally:
            self._handshaking = False

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
        # RFC 3207 §4.2: discard what the client said in the clear, including unread input.
        self._reader._buffer.clear()  # type: ignore[attr-defined]  # asyncio has no public way to discard input
        clear = self._original_transport = cast(asyncio.WriteTransport, self.transport)
        self._reset_timeout(self._limits.tls_seconds)
        transport = await self._shake_hands(clear, self.tls_context)
        if transport is None:
            # asyncio calls no connection_lost for a connection that is lost in the handshake.
            self.abort()
            self.connection_lost(None)
            raise Ended
        self._enter_tls(transport)

    def _enter_tls(self, transport: asyncio.Transport) -> None:
        # The same as StreamWriter.start_tls, which fails when a peer hangs up in the handshake.
        self._writer._transport = transport  # type: ignore[attr-defined]
        self._reader._transport = transport  # type: ignore[attr-defined]
        self.transport = transport
        self._tls_protocol = transport.get_extra_info("ssl_object")
        self.session = self._create_session()
        self.session.peer = transport.get_extra_info("peername")
        self.session.ssl = {"ssl_object": self._tls_protocol}
        self._set_rset_state()  # type: ignore[no-untyped-call]
        self.forget_client()
        self._reset_timeout()

    def forget_client(self) -> None:
        """RFC 3207 §4.2: what the client said before TLS does not count."""


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """A reset by the peer ends the task with an exception; asyncio logs one that is never retrieved."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("SMTP session ended", reason=describe(error))
