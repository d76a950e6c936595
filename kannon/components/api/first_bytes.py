"""A connection before its protocol is known: its first bytes decide.

In: the first bytes of a client. Out: the HTTP/2 preface and a first request of gRPC make it a connection of grpc/,
another first request or HTTP/1.1 one of http/. A TLS client on a port without TLS gets nothing: it could not read it.
"""

import asyncio
import socket
from contextlib import suppress
from typing import cast

import structlog
from anyio.abc import TaskGroup

from kannon.components.api.connections import FIRST_CALL_SECONDS
from kannon.components.api.first_request import SERVER_PREFACE, Speaks, first_request
from kannon.components.api.grpc.connection import Http2Connection
from kannon.components.api.grpc.flood import PREFACE
from kannon.components.api.http.connection import HttpConnection
from kannon.components.api.shared import Shared
from kannon.peers import peer_key

_TLS_HANDSHAKE = 0x16  # RFC 8446 §5.1: the content type of a client's first record

log = structlog.get_logger(__name__)


class FirstBytes(asyncio.Protocol):
    """In the table of connections from the moment its socket is accepted, until the chosen protocol takes its place.
    `group` runs the HTTP connections."""

    authenticated = False

    def __init__(self, shared: Shared, accepted: socket.socket, peer: str, group: TaskGroup) -> None:
        self.peer = peer
        self.calls: dict[object, asyncio.Task[None]] = {}
        self._shared = shared
        self._group = group
        self._socket = accepted
        self._since = asyncio.get_running_loop().time()
        self._data = b""
        self._has_preface = False
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
            self._look_at_request()
        elif not PREFACE.startswith(self._data):
            self._speak_http1()

    def _look_at_request(self) -> None:
        if not self._has_preface:
            self._has_preface = True
            cast(asyncio.Transport, self._transport).write(SERVER_PREFACE)
        speaks = first_request(self._data)
        if speaks is Speaks.GRPC:
            self._become(Http2Connection(self._shared, self.peer))
        elif speaks is Speaks.HTTP:
            self._speak_http(http2=True)

    def _speak_http1(self) -> None:
        if self._data[0] == _TLS_HANDSHAKE:
            self._closed = True
            self._note("TLS client on a port without TLS: connection is closed")
            cast(asyncio.Transport, self._transport).abort()
        else:
            self._speak_http(http2=False)

    def _note(self, event: str) -> None:
        """One line a minute for each peer: a health check or a scanner comes again and again."""
        peer = peer_key(self.peer)
        if peer not in self._shared.noted:
            self._shared.noted[peer] = True
            log.info(event, peer=self.peer)

    def _speak_http(self, *, http2: bool) -> None:
        connection = HttpConnection(self._shared, self.peer, http2=http2)
        self._become(connection)
        self._group.start_soon(connection.run)

    def _become(self, connection: Http2Connection | HttpConnection) -> None:
        transport = cast(asyncio.Transport, self._transport)
        self._closed = True
        self._shared.connections.remove(self)
        self._shared.connections.add(connection)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        data, self._data = self._data, b""
        connection.data_received(data)

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
