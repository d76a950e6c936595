"""One HTTP/2 connection: the owner of its calls, read in slices so that it cannot hold up the others.

In: bytes, beginning with the connection preface. Out: each call as one task running grpclib's request handler. Answers
malformed headers instead of closing the connection; closes it with GOAWAY (ENHANCE_YOUR_CALM) on a flood (flood.py).
"""

import asyncio
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

import structlog
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.encoding.proto import ProtoCodec, ProtoStatusDetailsCodec
from grpclib.metadata import encode_grpc_message
from grpclib.protocol import AbstractHandler, H2Protocol, Stream
from grpclib.server import request_handler
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from kannon.components.api.connections import FIRST_CALL_SECONDS, IDLE_SECONDS, LINGER_SECONDS
from kannon.components.api.grpc import grpclib_private
from kannon.components.api.grpc.bodies import BoundedBuffer
from kannon.components.api.grpc.codecs import JsonCodec, LateCodec
from kannon.components.api.grpc.flood import Flood, FrameReader
from kannon.components.api.grpc.headers import Headers, malformed, trimmed
from kannon.components.api.grpc.method import GrpcMethod
from kannon.components.api.shared import Shared

_FLUSH_SECONDS = 5.0  # for a client to take what has been written, once the connection is closed
_WINDOW_BYTES = 4 << 20  # the most that one connection, authenticated or not, can make the server hold

log = structlog.get_logger(__name__)


class Http2Connection(H2Protocol, AbstractHandler):
    """It is its own handler of streams. Reading pauses while a slice waits for its turn, and while the client does not
    take what has been written: the answers to control frames must not pile up."""

    def __init__(self, shared: Shared, peer: str) -> None:
        super().__init__(self, _CONFIGURATION, _H2)
        self.peer = peer
        self.authenticated = False
        self.calls: dict[object, asyncio.Task[None]] = {}
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._dispatch = grpclib_private.RequestDispatch(self._reporting)
        self._streaming: set[Stream] = set()
        self._called = False
        self._last_call = self._loop.time()
        self._last_stream = 0
        self._frames = FrameReader()
        self._next: asyncio.Handle | None = None
        self._reading = self._writable = True
        self._closing = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        grpclib_private.ignore_unknown_frames(self.processor)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._closing = True
        self._shared.connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        if self._next is None and self._writable:
            self._read_slice()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writable = False
        self._read_on()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._writable = True
        self._read_on()

    def _read_slice(self) -> None:
        self._next = None
        if self._closing:
            return
        try:
            data = self._frames.next_slice()
        except Flood as flood:
            self._enhance_your_calm(str(flood))
            return
        self._process(data)
        self._read_on()

    def _read_on(self) -> None:
        """The next slice in the next turn of the event loop; more bytes when there is none."""
        if self._closing:
            return
        pending = self._frames.pending
        if pending and self._writable and self._next is None:
            self._next = self._loop.call_soon(self._read_slice)
        reading = self._writable and not pending
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _process(self, data: bytes) -> None:
        try:
            events = self.connection.feed(data)
        except ProtocolError as error:
            log.debug("HTTP/2 protocol error", peer=self.peer, reason=str(error))
            self._closing = True
            self.connection.flush()  # RFC 9113 §5.4.1: GOAWAY, which h2 has prepared
            self._end("protocol error")
            return
        self.connection.flush()
        for event in events:
            self.processor.process(event)
            if self.connection.is_closing():
                self._closing = True
                return
        self.connection.flush()

    def _enhance_your_calm(self, frames: str) -> None:
        """RFC 9113 §10.5: GOAWAY, then nothing more is read. Written by hand: h2 would refuse the answers of the calls
        that still run, and they have LINGER_SECONDS to end."""
        log.info("flood: connection is closed", peer=self.peer, frames=frames)
        self._closing = True
        self._transport.pause_reading()
        # RFC 9113 §6.8: length 8, type 7, no flags, stream 0; the last stream that is processed, and the error code.
        self._transport.write(
            b"\0\0\x08\x07\0\0\0\0\0" + struct.pack(">LL", self._last_stream, ErrorCodes.ENHANCE_YOUR_CALM)
        )
        self._loop.call_later(LINGER_SECONDS, self._transport.abort)

    def accept(self, stream: Stream, headers: Headers, release_stream: Callable[[], None]) -> None:
        """A new call (called by grpclib when its headers have arrived)."""
        self._called = True
        self._last_stream = stream_id = cast(int, stream.id)  # a stream that the client opened has one
        # Nothing has been put into the buffer that grpclib made: the headers have only just arrived.
        acknowledge = partial(self.connection.ack, stream_id)
        headers = trimmed(headers)
        gzipped = ("grpc-encoding", "gzip") in headers
        buffer = BoundedBuffer(acknowledge, self._shared.max_message_bytes, self._shared.large_bodies, gzipped=gzipped)
        stream.buffer = buffer
        method = self._shared.methods.get(dict(headers).get(":path", ""))
        if method is not None and method.cardinality is not Cardinality.UNARY_UNARY:
            self._streaming.add(stream)
        refusal = (Status.UNAVAILABLE, "the server is stopping") if self._shared.draining else malformed(headers)
        if refusal is None and method is None:
            refusal = Status.UNIMPLEMENTED, "there is no such method"
        if refusal is None:
            ours = method is not None and isinstance(method.func, GrpcMethod)  # grpclib's own take small messages
            codec = _codec(headers) if ours else _CODEC
            methods = cast(dict[str, Handler], self._shared.methods)
            call = request_handler(methods, stream, headers, codec, _DETAILS, self._dispatch, release_stream)
        else:
            kind = next((value for name, value in headers if name == "content-type"), "")
            call = _refuse(stream, *refusal, kind, release_stream)
        task = self._loop.create_task(call)
        self.calls[stream] = task
        task.add_done_callback(lambda _: self._ended(stream, buffer, release_stream))

    def _ended(self, stream: Stream, buffer: BoundedBuffer, release_stream: Callable[[], None]) -> None:
        # A task that is cancelled before its first step does not reach its own clean-up.
        if grpclib_private.is_registered(self.processor, stream):
            release_stream()
        buffer.close()
        self.calls.pop(stream, None)
        self._streaming.discard(stream)
        self._last_call = self._loop.time()

    def _reporting(self, method: grpclib_private.MethodFunc) -> grpclib_private.MethodFunc:
        if isinstance(method, GrpcMethod) and not self.authenticated:
            return partial(method, on_authenticated=self._on_authenticated)
        return method

    def _on_authenticated(self) -> None:
        self.authenticated = True

    def cancel(self, stream: Stream) -> None:
        """The client has reset the stream."""
        task = self.calls.get(stream)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """The connection is gone."""
        for task in self.calls.values():
            task.cancel()

    def cancel_streaming(self) -> None:
        for stream in self._streaming:
            self.cancel(stream)

    @property
    def idle_since(self) -> float | None:
        return None if self.calls else self._last_call

    def close_if_idle(self, now: float) -> None:
        limit = IDLE_SECONDS if self._called else FIRST_CALL_SECONDS
        if not self.calls and now - self._last_call > limit:
            self.close_gracefully()

    def close_gracefully(self) -> None:
        """RFC 9113 §6.8: GOAWAY with NO_ERROR, then close; only when no call runs, for it ends them all."""
        if self._closing:
            return
        self._closing = True
        with suppress(ProtocolError):  # the client has sent GOAWAY first
            grpclib_private.send_goaway(self.connection)
        self._end("closed by the server")

    def _end(self, reason: str) -> None:
        self.processor.close(reason)
        self._loop.call_later(_FLUSH_SECONDS, self._transport.abort)


_CODEC = ProtoCodec()
_LATE_CODEC = LateCodec()
_JSON_CODEC = JsonCodec()
_DETAILS = ProtoStatusDetailsCodec()
_CONFIGURATION = grpclib_private.server_configuration(_WINDOW_BYTES)
# Latin-1 cannot fail, and headers.py validates: a malformed value costs its call, not the connection.
_H2 = H2Configuration(
    client_side=False, header_encoding="latin-1", validate_inbound_headers=False, validate_outbound_headers=False
)


_KIND = re.compile(r"application/grpc(\+[a-z]{1,20})?")


def _codec(headers: Headers) -> CodecBase:
    return _JSON_CODEC if ("content-type", "application/grpc+json") in headers else _LATE_CODEC


async def _refuse(stream: Stream, status: Status, text: str, kind: str, release_stream: Callable[[], None]) -> None:
    """A trailers-only answer, with the content type of the request, which a client insists on."""
    try:
        headers = [
            (":status", "200"),
            ("content-type", kind if _KIND.fullmatch(kind) else "application/grpc"),
            ("grpc-status", str(status.value)),
            ("grpc-message", encode_grpc_message(text)),
        ]
        await stream.send_headers(headers, end_stream=True)
        if stream.closable:
            stream.reset_nowait()
    except ProtocolError:
        log.debug("the client has ended the stream")
    finally:
        release_stream()
