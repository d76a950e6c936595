"""HTTP/2 connections of the API: accepted, watched, and drained when the process stops.

In: an address and the table of methods. Out: each call as one task running grpclib's request handler. Unlike grpclib's
own Server it bounds messages (bodies.py), answers malformed headers instead of dropping them, closes connections that
idle, and on `drain` lets running calls complete while new ones get UNAVAILABLE.
"""

import asyncio
import re
import ssl
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import structlog
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.proto import ProtoCodec
from grpclib.events import _DispatchServerEvents
from grpclib.metadata import decode_bin_value, decode_timeout, encode_grpc_message
from grpclib.protocol import AbstractHandler, H2Protocol, Stream
from grpclib.server import request_handler
from h2.config import H2Configuration
from h2.events import UnknownFrameReceived
from h2.exceptions import ProtocolError

from kannon.components.api.bodies import LARGE_AT_ONCE, BoundedBuffer
from kannon.components.api.calls import Call
from kannon.components.api.parsing import LateCodec

FIRST_CALL_SECONDS = 30.0
"""A connection that has not made its first call by then is closed."""
IDLE_SECONDS = 600.0
"""So is one without a call for this long; clients reconnect by themselves."""
MAX_CONNECTIONS = 500
"""More are closed at once: file descriptors are also what the other components of the process live on."""
_WATCH_SECONDS = 5.0
_CUT_SECONDS = 5.0
_WINDOW_BYTES = 4 << 20  # what one connection, authenticated or not, can make us hold

# gRPC over HTTP/2, "Timeout": at most eight digits and a unit.
_TIMEOUT = re.compile(r"[0-9]{1,8}[HMSmun]")
_SHORTEST_TIMEOUT = 0.001

log = structlog.get_logger(__name__)

Headers = list[tuple[str, str]]


class Server:
    """`listen`, then `watch` in a task of the caller's, at the end `drain` and `close`."""

    def __init__(self, methods: Mapping[str, Handler], *, max_message_bytes: int) -> None:
        self.methods = dict(methods)
        self.max_message_bytes = max_message_bytes
        self.draining = False
        self.connections: set[_Connection] = set()
        self.room = asyncio.Semaphore(LARGE_AT_ONCE)
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> list[tuple[str, int]]:
        """Returns the addresses it listens on. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), host, port, ssl=tls, backlog=1024)
        return [socket.getsockname()[:2] for socket in self._listener.sockets]

    async def watch(self) -> None:
        """Closes idle connections, for ever."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now = time.monotonic()
            for connection in list(self.connections):
                connection.close_if_idle(now)

    async def drain(self) -> None:
        """No new connection, no new call; returns when the running ones are answered. Streams without an end (health
        watches, reflection) are cut."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.cut_endless()
        while calls := {task for connection in self.connections for task in connection.calls.values()}:
            await asyncio.wait(calls)
        for connection in list(self.connections):
            connection.say_goodbye()

    async def close(self) -> None:
        """At once: cancels what still runs. Bounded."""
        if self._listener is not None:
            self._listener.close()
        calls = {task for connection in self.connections for task in connection.calls.values()}
        for task in calls:
            task.cancel()
        if calls:
            await asyncio.wait(calls, timeout=_CUT_SECONDS)
        for connection in list(self.connections):
            connection.say_goodbye()
        # Lets the transports run their connection_lost before the loop goes away.
        await asyncio.sleep(0)


class _Connection(H2Protocol, AbstractHandler):
    """One client's connection; it is its own handler of streams, and the owner of their tasks."""

    def __init__(self, server: Server) -> None:
        super().__init__(self, _CONFIGURATION, _H2)
        self._server = server
        self._dispatch = _DispatchServerEvents()
        self._endless: set[Stream] = set()
        self._called = False
        self._idle_since = time.monotonic()
        self.calls: dict[Stream, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._server.connections) >= MAX_CONNECTIONS:
            log.warning("too many connections", limit=MAX_CONNECTIONS)
            self.processor.close("too many connections")
            return
        # RFC 9113 §4.1: frames of unknown types are ignored.
        self.processor.processors[UnknownFrameReceived] = lambda _: None
        self._server.connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.connections.discard(self)
        super().connection_lost(exc)

    def accept(self, stream: Stream, headers: Headers, release_stream: Callable[[], None]) -> None:
        """A new call (called by grpclib when its headers have arrived)."""
        self._called = True
        stream_id = cast(int, stream.id)  # a stream that the client opened has one
        # Nothing has been put into the buffer that grpclib made: the headers have only just arrived.
        acknowledge = partial(self.connection.ack, stream_id)
        buffer = BoundedBuffer(acknowledge, self._server.max_message_bytes, self._server.room)
        stream.buffer = buffer
        path = dict(headers).get(":path", "")
        method = self._server.methods.get(path)
        if method is not None and method.cardinality is not Cardinality.UNARY_UNARY:
            self._endless.add(stream)
        refusal = (Status.UNAVAILABLE, "the server is stopping") if self._server.draining else _malformed(headers)
        if refusal is None:
            ours = method is not None and isinstance(method.func, Call)  # grpclib's own take small messages
            codec = _LATE_CODEC if ours else _CODEC
            call = request_handler(self._server.methods, stream, headers, codec, None, self._dispatch, release_stream)
        else:
            call = _refuse(stream, *refusal, release_stream)
        task = asyncio.get_running_loop().create_task(call)
        self.calls[stream] = task
        task.add_done_callback(lambda _: self._ended(stream, buffer))

    def _ended(self, stream: Stream, buffer: BoundedBuffer) -> None:
        buffer.close()
        self.calls.pop(stream, None)
        self._endless.discard(stream)
        self._idle_since = time.monotonic()

    def cancel(self, stream: Stream) -> None:
        """The client has reset the stream."""
        task = self.calls.get(stream)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """The connection is gone."""
        for task in self.calls.values():
            task.cancel()

    def cut_endless(self) -> None:
        for stream in self._endless:
            self.cancel(stream)

    def close_if_idle(self, now: float) -> None:
        limit = IDLE_SECONDS if self._called else FIRST_CALL_SECONDS
        if not self.calls and now - self._idle_since > limit:
            self.say_goodbye()

    def say_goodbye(self) -> None:
        """RFC 9113 §6.8: GOAWAY with NO_ERROR, then close; only when no call runs, for it ends them all."""
        if self.connection.is_closing():
            return
        try:
            self.connection._connection.close_connection()
            self.connection.flush()
        except ProtocolError:
            pass  # the client said goodbye first
        self.processor.close("closed by the server")


_CODEC = ProtoCodec()
_LATE_CODEC = LateCodec()
_CONFIGURATION = Configuration(
    http2_connection_window_size=_WINDOW_BYTES, http2_stream_window_size=_WINDOW_BYTES
).__for_server__()
# Latin-1 cannot fail: what a header value must be is decided by its reader, not by losing the connection.
_H2 = H2Configuration(client_side=False, header_encoding="latin-1", validate_outbound_headers=False)


def _malformed(headers: Headers) -> tuple[Status, str] | None:
    """What grpclib's request handler would fail on without an answer."""
    for name, value in headers:
        if name == "grpc-timeout":
            if not _TIMEOUT.fullmatch(value):
                return Status.INVALID_ARGUMENT, "grpc-timeout: is not a valid timeout"
            if decode_timeout(value) < _SHORTEST_TIMEOUT:
                return Status.DEADLINE_EXCEEDED, "the deadline has passed"
        if name.endswith("-bin"):
            try:
                decode_bin_value(value.encode("ascii"))
            except ValueError:
                return Status.INVALID_ARGUMENT, "metadata: a -bin value is not base64"
    return None


async def _refuse(stream: Stream, status: Status, text: str, release_stream: Callable[[], None]) -> None:
    """A trailers-only answer."""
    try:
        headers = [
            (":status", "200"),
            ("content-type", "application/grpc+proto"),
            ("grpc-status", str(status.value)),
            ("grpc-message", encode_grpc_message(text)),
        ]
        await stream.send_headers(headers, end_stream=True)
        if stream.closable:
            stream.reset_nowait()
    except ProtocolError:
        log.debug("the caller is gone")
    finally:
        release_stream()
