"""Calls over Connect, gRPC-Web and plain JSON, by connectrpc.

In: a request whose path is that of a method. Out: its response in the protocol of the request. connectrpc knows the
protocols; credentials are checked before it reads the body, the body passes our limits (body.py), and messages are
decoded after it (parsing.py), so that a large one does not hold up the event loop.
"""

import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compression import Compression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.message import Message
from grpclib.const import Status

from kannon.components.api.http.body import Body
from kannon.components.api.http.connection import HttpConnection
from kannon.components.api.http.errors import STATUSES, answer_error, to_connect
from kannon.components.api.parsing import Form, Unparsed, to_bytes
from kannon.components.api.rpc import CallMetadata, Outcome, Refusal, Rpc

_UNARY = frozenset({"application/json", "application/proto"})
_STREAM = frozenset({"application/connect+json", "application/connect+proto"})
_GRPC_WEB = frozenset({"application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json"})


class Calls:
    """`rpcs`: every method by its path."""

    def __init__(self, rpcs: Sequence[Rpc[Any]], *, max_message_bytes: int) -> None:
        self.rpcs: Mapping[str, Rpc[Any]] = {rpc.path: rpc for rpc in rpcs}
        self._application = _Application(self.rpcs.values(), max_message_bytes)

    async def __call__(self, connection: HttpConnection, scope: Any, receive: Any, send: Any) -> None:
        rpc = self.rpcs[scope["path"]]
        headers = _headers(scope)
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        body = Body(receive, headers, connection.shared, enveloped=content_type not in _UNARY)
        send = body.send_through(send)
        if scope["method"] != "POST":
            text = f"method: {scope['path']} takes POST"
            await answer_error(send, 405, Code.UNKNOWN, text, [(b"allow", b"POST")], scope["headers"])
            return
        if content_type not in (_STREAM if rpc.streaming else _UNARY) | _GRPC_WEB:
            text = f'content-type: "{content_type[:100]}" is not supported; send application/json'
            if rpc.streaming:
                text = text.replace("application/json", "application/connect+json")
            await answer_error(send, 415, Code.UNKNOWN, text, asked=scope["headers"])
            return
        if not all(_is_text(value) for value in headers.values()):
            await answer_error(send, 400, Code.INVALID_ARGUMENT, "headers: a value is not UTF-8")
            return
        call = _Call(rpc, connection, CallMetadata(headers, connection.peer))
        _CALL.set(call)  # each request has a task of its own
        if rpc.streaming:
            connection.on_streaming()
        try:
            with rpc.measured() as call.outcome:
                await self._application({**scope, "headers": _lowered(scope)}, body.receive, send)
        finally:
            body.close()


class _Call:
    def __init__(self, rpc: Rpc[Any], connection: HttpConnection, metadata: CallMetadata) -> None:
        self.rpc = rpc
        self.connection = connection
        self.metadata = metadata
        self.caller: Any = None
        self.outcome = Outcome()


_CALL: ContextVar[_Call] = ContextVar("call")
"""The call of the running task: connectrpc hands nothing of ours through."""


class _Incoming:
    def __init__(self, request: Unparsed) -> None:
        self._request = request

    async def read(self) -> Message:
        return await self._request.parse()


class _Admission:
    """connectrpc's MetadataInterceptor: it runs before the body is read."""

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        call = _CALL.get()
        try:
            if call.connection.shared.draining:
                raise Refusal(Status.UNAVAILABLE, "the server is stopping")
            call.caller = await call.rpc.admit(call.metadata)
        except Refusal as refused:
            raise _refused(refused, ctx) from None
        if call.caller is not None:
            call.connection.authenticated = True

    async def on_end(self, token: None, ctx: RequestContext[Any, Any], error: Exception | None) -> None:
        outcome = _CALL.get().outcome
        if error is None:
            outcome.status = Status.OK
        elif isinstance(error, ConnectError):
            outcome.status = STATUSES[error.code]
        timeout = ctx.timeout_ms
        if outcome.status is Status.CANCELLED and timeout is not None and timeout <= 0:
            outcome.status = Status.DEADLINE_EXCEEDED


async def _unary(request: Unparsed, ctx: RequestContext[Any, Any]) -> bytes:
    call = _CALL.get()
    try:
        response = await call.rpc.answer(call.caller, _Incoming(request))
    except Refusal as refused:
        raise _refused(refused, ctx) from None
    return await to_bytes(response, request.form)


async def _server_stream(request: Unparsed, ctx: RequestContext[Any, Any]) -> AsyncIterator[bytes]:
    call = _CALL.get()
    try:
        async for response in call.rpc.answers(call.caller, _Incoming(request)):
            yield await to_bytes(response, request.form)
    except Refusal as refused:
        raise _refused(refused, ctx) from None


def _refused(refused: Refusal, ctx: RequestContext[Any, Any]) -> ConnectError:
    for name, value in refused.metadata.items():
        ctx.response_headers[name] = value
    return to_connect(refused)


class _Application(ConnectASGIApplication[None]):
    path = "/"

    def __init__(self, rpcs: Any, max_bytes: int) -> None:
        endpoints = {rpc.path: _endpoint(rpc) for rpc in rpcs}
        super().__init__(
            service=None,
            endpoints=lambda _: endpoints,
            interceptors=[_Admission()],
            read_max_bytes=None,
            compressions=[_Gzip()],
            codecs=[_LateCodec(form, max_bytes) for form in Form],
        )


def _endpoint(rpc: Rpc[Any]) -> Any:
    info = MethodInfo(
        name=rpc.descriptor.name,
        service_name=rpc.descriptor.containing_service.full_name,
        input=rpc.request_type,
        output=rpc.response_type,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.SERVER_STREAM if rpc.streaming else StreamType.UNARY,
    )
    if rpc.streaming:
        return Endpoint.server_stream(info, _server_stream)
    return Endpoint.unary(info, _unary)


class _Gzipped(bytes):
    """A message that is still gzipped."""


class _Gzip(Compression):
    """Messages are inflated with their decoding, in a thread where they are large."""

    def name(self) -> str:
        return "gzip"

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        return packer.compress(data) + packer.flush()

    def decompress(self, data: bytes | bytearray | memoryview, read_max_bytes: int | None = None) -> bytes:
        return _Gzipped(data)


class _LateCodec(Codec[bytes, Any]):
    """Requests become Unparsed; responses are bytes already."""

    def __init__(self, form: Form, max_bytes: int) -> None:
        self._form = form
        self._max_bytes = max_bytes

    def name(self) -> str:
        return self._form.value

    def encode(self, message: bytes) -> bytes:
        return message

    def decode(self, data: bytes | bytearray, message_class: type[Any]) -> Any:
        return Unparsed(data, message_class, self._form, isinstance(data, _Gzipped), self._max_bytes)


def _headers(scope: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def _lowered(scope: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in scope["headers"]]


def _is_text(value: str) -> bool:
    try:
        value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return True
