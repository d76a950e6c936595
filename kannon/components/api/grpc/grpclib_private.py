"""Every part of grpclib and h2 that the API uses although its documentation does not promise it.

tests/components/api/test_grpclib_private.py fails when one of them goes away; pyproject.toml keeps grpclib below its
next minor version until these lines have been read again.

- `grpclib.protocol` as a whole is not documented: H2Protocol (`connection`, `processor`, `data_received` overridden),
  AbstractHandler (`accept`, `cancel`, `close`), Connection (`feed`, `flush`, `ack`, `is_closing`), EventsProcessor
  (`process`, `close`), Stream (`id`, `buffer`, `send_headers`, `closable`, `reset_nowait`), Buffer (replaced by
  bodies.py).
- `grpclib.server.request_handler`: the call of one stream, from its headers to its trailers.
- the rest is below, each with its reason.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from grpclib.config import Configuration
from grpclib.events import _DispatchServerEvents
from grpclib.protocol import Connection, EventsProcessor, Stream
from h2.events import UnknownFrameReceived

MethodFunc = Callable[[Any], Awaitable[None]]


class RequestDispatch(_DispatchServerEvents):
    """`_DispatchServerEvents`: request_handler demands one. `wrap` gets the function of each call and returns the one
    that request_handler calls."""

    def __init__(self, wrap: Callable[[MethodFunc], MethodFunc]) -> None:
        super().__init__()
        self._wrap = wrap
        self.__dict__["recv_request"] = self._wrapped  # where grpclib puts what it calls when there are no listeners

    async def _wrapped(self, metadata: Any, method_func: MethodFunc, **request: Any) -> tuple[Any, MethodFunc]:
        return metadata, self._wrap(method_func)


def server_configuration(window_bytes: int) -> Configuration:
    """`Configuration.__for_server__`: the defaults of a server, which H2Protocol expects to be resolved."""
    return Configuration(
        http2_connection_window_size=window_bytes, http2_stream_window_size=window_bytes
    ).__for_server__()


def ignore_unknown_frames(processor: EventsProcessor) -> None:
    """`EventsProcessor.processors`: grpclib raises NotImplementedError for an event without an entry.
    RFC 9113 §4.1: frames of unknown types are ignored."""
    processor.processors[UnknownFrameReceived] = lambda _: None


def send_goaway(connection: Connection) -> None:
    """`Connection._connection`, the H2Connection: grpclib has no way to send GOAWAY. Raises h2's ProtocolError."""
    connection._connection.close_connection()
    connection.flush()


def is_registered(processor: EventsProcessor, stream: Stream) -> bool:
    """`EventsProcessor.streams`: request_handler takes a stream out of it, unless its task was cancelled before its
    first step."""
    return stream.id is not None and processor.streams.get(stream.id) is stream
