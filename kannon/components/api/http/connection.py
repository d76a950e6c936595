"""One HTTP connection that is not gRPC's: hypercorn's protocol on a connection of our table.

In: bytes, HTTP/1.1 or HTTP/2 with its preface. Out: each request as one call of the application, in a task that the
table sees. HTTP/2 frames pass the flood limits of gRPC's connections first. Only what this port needs of hypercorn is
used: no upgrade to h2c, no time-outs of its own (the table closes idle connections).
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import h11
import structlog
from h2.errors import ErrorCodes
from h2.events import DataReceived
from h2.events import Event as H2Event
from h2.exceptions import ProtocolError
from h2.stream import H2Stream
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ConnectionState

from kannon.components.api.connections import FIRST_CALL_SECONDS, IDLE_SECONDS, LINGER_SECONDS
from kannon.components.api.grpc.flood import Flood, FrameReader
from kannon.components.api.shared import Shared

MAX_CONCURRENT_STREAMS = 32
"""Requests at once on an HTTP/2 connection. hypercorn holds up to 160 KiB of each body that is not read."""
_BUFFER_BYTES = 64 << 10
_UNREADABLE = b'{"code": "invalid_argument", "message": "the request is not valid HTTP/1.1"}'

log = structlog.get_logger(__name__)


class HttpConnection(asyncio.StreamReaderProtocol):
    """kannon.components.api.connections.Connection. `run` serves it, until it is closed."""

    def __init__(self, shared: Shared, peer: str, *, http2: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(limit=_BUFFER_BYTES, loop=self._loop)
        super().__init__(self._reader, loop=self._loop)
        self.peer = peer
        self.authenticated = False
        self.calls: dict[object, asyncio.Task[None]] = {}
        self._streaming: set[asyncio.Task[None]] = set()
        self.shared = shared
        self._frames = FrameReader() if http2 else None
        self._next: asyncio.Handle | None = None
        self._called = self._closing = False
        self._last_call = self._loop.time()
        self._server: _Server | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self.shared.connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            super().data_received(data)
            return
        self._frames.feed(data)
        if self._next is None:
            self._read_slice()

    def _read_slice(self) -> None:
        """One slice in each turn of the event loop."""
        self._next = None
        if self._closing or self._frames is None:
            return
        try:
            data = self._frames.next_slice()
        except Flood as flood:
            log.info("flood: connection is closed", peer=self.peer, frames=str(flood))
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        super().data_received(data)
        if self._frames.pending:
            self._next = self._loop.call_soon(self._read_slice)

    async def run(self) -> None:
        writer = asyncio.StreamWriter(self.transport, self, self._reader, self._loop)
        application = ASGIWrapper(partial(self.shared.application, self))
        self._server = _Server(application, self._loop, _CONFIG, _CONTEXT, {}, self._reader, writer)
        try:
            await self._server.serve(http2=self._frames is not None)
        except Exception:
            log.exception("HTTP connection failed")

    def begin_call(self) -> object:
        """The running task serves a request, until `end_call` with the result."""
        call = object()
        self.calls[call] = cast("asyncio.Task[None]", asyncio.current_task())
        self._called = True
        return call

    def end_call(self, call: object) -> None:
        self._streaming.discard(self.calls.pop(call))
        self._last_call = self._loop.time()

    def on_streaming(self) -> None:
        """The running task serves a call that has no end of its own."""
        self._streaming.add(cast("asyncio.Task[None]", asyncio.current_task()))

    def cancel_streaming(self) -> None:
        for task in self._streaming:
            task.cancel()

    @property
    def idle_since(self) -> float | None:
        return None if self.calls else self._last_call

    def close_if_idle(self, now: float) -> None:
        limit = IDLE_SECONDS if self._called else FIRST_CALL_SECONDS
        if not self.calls and now - self._last_call > limit:
            self.close_gracefully()

    def close_gracefully(self) -> None:
        if not self._closing:
            self._close(ErrorCodes.NO_ERROR)

    def _close(self, code: ErrorCodes) -> None:
        self._closing = True
        if self._server is not None:
            self._server.say_goodbye(code)
        self.transport.close()
        self._loop.call_later(LINGER_SECONDS, self.transport.abort)


class _Server(TCPServer):
    """hypercorn's connection without its idle task, and with the protocol chosen by us."""

    async def serve(self, *, http2: bool) -> None:
        socket = self.writer.get_extra_info("socket")
        client = _address(socket.getpeername)
        server = _address(socket.getsockname)
        is_tls = isinstance(self.writer.get_extra_info("ssl_object"), ssl.SSLObject)
        make = _Http2 if http2 else _Http1
        try:
            async with TaskGroup(self.loop) as group:
                state = ConnectionState(self.state)
                protocol = make(
                    self.app, self.config, self.context, group, state, is_tls, client, server, self.protocol_send
                )
                self.protocol = cast(Any, protocol)
                await protocol.initiate()
                await self._read_data()
        except OSError:
            pass  # the client is gone
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, Updated):
            await super().protocol_send(event)

    def say_goodbye(self, code: ErrorCodes) -> None:
        """RFC 9113 §6.8: GOAWAY."""
        protocol = cast(object, self.protocol)
        if isinstance(protocol, H2Protocol):
            with suppress(ProtocolError):
                protocol.connection.close_connection(code)
            self.writer.write(protocol.connection.data_to_send())


class _Http2(H2Protocol):
    """One request that is wrong, or refused while it still arrives, does not end the connection with all its calls."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        connection: Any = self.connection
        self._begin = connection._begin_new_stream
        connection._begin_new_stream = self._begin_without_length

    def _begin_without_length(self, *arguments: Any) -> H2Stream:
        """RFC 9113 §8.1.1: a body of another length than announced is an error of its stream, which body.py answers. h2
        ends the connection, also where the client stops sending because it was refused."""
        stream: Any = self._begin(*arguments)
        stream._initialize_content_length = lambda headers: None
        return cast(H2Stream, stream)

    async def _handle_events(self, events: list[H2Event]) -> None:
        """One by one: an answer may be complete, and its stream gone, before the next event."""
        for event in events:
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                await self._drop(event)
            else:
                await super()._handle_events([event])

    async def _drop(self, event: DataReceived) -> None:
        """RFC 9113 §8.1: after a complete answer the rest of the request is not wanted."""
        with suppress(ProtocolError):
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id not in self.stream_buffers:
                self.connection.reset_stream(event.stream_id, ErrorCodes.NO_ERROR)
        await self._flush()


class _Http1(H11Protocol):
    async def _send_error_response(self, status_code: int) -> None:
        """RFC 9112 §2.2: the answer to what cannot be read; then the connection ends."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(_UNREADABLE)),
            (b"connection", b"close"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=_UNREADABLE))
        await self._send_h11_event(h11.EndOfMessage())

    async def _check_protocol(self, event: Any) -> None:
        """RFC 9110 §7.8: a server may ignore Upgrade. h2c with prior knowledge was recognised before."""


def _address(name: Callable[[], Any]) -> tuple[str, int] | None:
    try:
        host, port = name()[:2]
    except OSError:
        return None
    return host, port


def _config() -> Config:
    config = Config()
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_max_requests = 1 << 31  # its own limit would end an HTTP/2 connection in the middle of calls
    config.h2_max_concurrent_streams = MAX_CONCURRENT_STREAMS
    config.h11_max_incomplete_size = 64 << 10  # of headers
    config.h2_max_header_list_size = 64 << 10
    return config


_CONFIG = _config()
_CONTEXT = WorkerContext(None)
