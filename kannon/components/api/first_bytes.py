"""A connection before its protocol is known: its first bytes decide.

In: the first bytes of a client. Out: the HTTP/2 preface makes it an HTTP/2 connection; anything else is taken for
HTTP/1.1 and answered with one response that names the protocol of this port. A TLS client on a port without TLS gets
nothing: it could not read it.
"""

import asyncio
import socket
from contextlib import suppress
from typing import cast

import structlog

from kannon.components.api.grpc.connection import FIRST_CALL_SECONDS, LINGER_SECONDS, Http2Connection, Shared
from kannon.components.api.grpc.flood import PREFACE
from kannon.peers import peer_key

_TLS_HANDSHAKE = 0x16  # RFC 8446 §5.1: the content type of a client's first record
_TEXT = b"This port speaks gRPC over HTTP/2.\n"
_HTTP1_RESPONSE = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
) % (len(_TEXT), _TEXT)

log = structlog.get_logger(__name__)


class FirstBytes(asyncio.Protocol):
    """In the table of connections from the moment its socket is accepted, until the chosen protocol takes its place."""

    authenticated = False

    def __init__(self, shared: Shared, accepted: socket.socket, peer: str) -> None:
        self.peer = peer
        self.calls: dict[object, asyncio.Task[None]] = {}
        self._shared = shared
        self._socket = accepted
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        self._data += data
        if self._data.startswith(PREFACE):
            self._speak_http2()
        elif not PREFACE.startswith(self._data):
            self._speak_http1()

    def _speak_http2(self) -> None:
        transport = cast(asyncio.Transport, self._transport)
        connection = Http2Connection(self._shared, self.peer)
        self._shared.connections.remove(self)
        self._shared.connections.add(connection)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(self._data)

    def _speak_http1(self) -> None:
        transport = cast(asyncio.Transport, self._transport)
        self._closed = True
        if self._data[0] == _TLS_HANDSHAKE:
            self._note("TLS client on a port without TLS: connection is closed")
            transport.abort()
            return
        self._note("client does not speak HTTP/2: connection is closed")
        transport.write(_HTTP1_RESPONSE)
        transport.pause_reading()
        self._loop.call_later(LINGER_SECONDS, transport.abort)

    def _note(self, event: str) -> None:
        """One line a minute for each peer: a health check or a scanner comes again and again."""
        peer = peer_key(self.peer)
        if peer not in self._shared.noted:
            self._shared.noted[peer] = True
            log.info(event, peer=self.peer)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._shared.connections.remove(self)

    @property
    def idle_since(self) -> float:
        return self._since

    def cancel_streaming(self) -> None:
        """It has no calls."""

    def close_if_idle(self, now: float) -> None:
        if now - self._since > FIRST_CALL_SECONDS:
            self.close_gracefully()

    def close_gracefully(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.abort()
        else:  # the TLS handshake fails at its next read
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
