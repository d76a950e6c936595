"""What grpclib and h2 do not promise is still there: a new version that lacks it fails here, not in production."""

import asyncio
import inspect
from typing import Any

from grpclib import events, protocol, server
from grpclib.config import Configuration
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import UnknownFrameReceived

from kannon.components.api.grpc import grpclib_private
from tests.support.h2_client import framed, grpc_headers, h2_client
from tests.support.h2_server import serving


class Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Handler(protocol.AbstractHandler):
    def accept(self, stream: Any, headers: Any, release_stream: Any) -> None: ...
    def cancel(self, stream: Any) -> None: ...
    def close(self) -> None: ...


async def connected() -> tuple[protocol.H2Protocol, Sink]:
    made = protocol.H2Protocol(
        Handler(), grpclib_private.server_configuration(1 << 20), H2Configuration(client_side=False)
    )
    sink = Sink()
    made.connection_made(sink)
    return made, sink


async def test_the_protocol_has_the_parts_that_are_used() -> None:
    made, sink = await connected()
    assert isinstance(made.connection._connection, H2Connection)
    assert isinstance(made.processor.processors, dict)
    assert made.processor.streams == {}
    for owner, names in (
        (made.connection, ("feed", "flush", "ack", "is_closing")),
        (made.processor, ("process", "close", "register")),
        (protocol.AbstractHandler, ("accept", "cancel", "close")),
        (protocol.Stream, ("send_headers", "closable", "reset_nowait")),
        (protocol.Buffer, ("add", "eof", "read", "unacked_size")),
        (Configuration(), ("__for_server__",)),
    ):
        for name in names:
            assert hasattr(owner, name), (owner, name)
    grpclib_private.ignore_unknown_frames(made.processor)
    made.processor.process(UnknownFrameReceived(frame=None))  # type: ignore[arg-type]  # the event is not looked at
    before = len(sink.written)
    grpclib_private.send_goaway(made.connection)
    assert sink.written[before + 3] == 7  # RFC 9113 §6.8: the type of GOAWAY
    made.processor.close("done")
    assert sink.closed


async def test_the_request_handler_takes_what_it_is_given() -> None:
    assert list(inspect.signature(server.request_handler).parameters) == [
        *("mapping", "_stream", "headers", "codec", "status_details_codec", "dispatch", "release_stream")
    ]


async def test_a_dispatch_hands_the_wrapped_method_to_the_request_handler() -> None:
    async def method(stream: Any) -> None: ...

    async def wrapped(stream: Any) -> None: ...

    dispatch = grpclib_private.RequestDispatch(lambda func: wrapped if func is method else func)
    assert isinstance(dispatch, events._DispatchServerEvents)
    assert await dispatch.recv_request({}, method, method_name="", deadline=None) == ({}, wrapped)
    assert await dispatch.send_initial_metadata({}) == ({},)


async def test_streams_are_registered_by_their_number() -> None:
    async with serving() as (opened, host, port), h2_client(host, port) as client:
        stream = await client.open(grpc_headers("/nothing/here"), end=False)
        await client.send(stream, framed(b""))
        await client.answer(stream)
        [connection] = opened._connections
        processor: protocol.EventsProcessor = connection.processor  # type: ignore[attr-defined]
        made = connection.connection.create_stream(stream_id=99)  # type: ignore[attr-defined]
        assert not grpclib_private.is_registered(processor, made)
        release = processor.register(made)
        assert grpclib_private.is_registered(processor, made)
        release()
        assert not grpclib_private.is_registered(processor, made)
