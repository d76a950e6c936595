"""Connect's conformance service on the API's own server: router, limits, calls, both adapters.

In: the folder of its protos as the argument, a ServerCompatRequest on standard input. Out: a ServerCompatResponse on
standard output, then the service until SIGTERM. The API's own answers have no headers and trailers but Retry-After,
so `_Recorder` and `_GrpcMethod` set them where the libraries below take them.
"""

import base64
import signal
import ssl
import struct
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import anyio
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClassesForFiles
from grpc_tools import protoc
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kannon.components.api.grpc.method import GrpcMethod
from kannon.components.api.http.connect import Calls
from kannon.components.api.http.router import Router
from kannon.components.api.rpc import CallMetadata, Refusal, Rpc, Service
from kannon.components.api.server import Server

PACKAGE = "connectrpc.conformance.v1"
MAX_BYTES = 4 << 20
METHODS = ("Unary", "IdempotentUnary", "ServerStream")
Pairs = list[tuple[str, str]]


class Exchange(Protocol):
    """One call's headers, in and out."""

    trailers: Pairs

    def headers(self) -> Pairs: ...

    def timeout_ms(self) -> float | None: ...

    async def send_headers(self, headers: Pairs) -> None: ...


EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")


class HttpExchange:
    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self.trailers: Pairs = []

    def headers(self) -> Pairs:
        return list(self._ctx.request_headers.allitems())

    def timeout_ms(self) -> float | None:
        """What is left of it; nearly all."""
        left: float | None = self._ctx.timeout_ms
        return left

    async def send_headers(self, headers: Pairs) -> None:
        for name, value in headers:
            self._ctx.response_headers.add(name, value)

    def end(self) -> None:
        for name, value in self.trailers:
            self._ctx.response_trailers.add(name, value)


class GrpcExchange:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.trailers: Pairs = []

    def headers(self) -> Pairs:
        return [
            (name, base64.b64encode(value).decode().rstrip("=") if isinstance(value, bytes) else value)
            for name, value in self._stream.metadata.items()
        ]

    def timeout_ms(self) -> float | None:
        deadline = self._stream.deadline
        return None if deadline is None else deadline.time_remaining() * 1000

    async def send_headers(self, headers: Pairs) -> None:
        await self._stream.send_initial_metadata(metadata=_metadata(headers))


def _metadata(pairs: Pairs) -> list[tuple[str, str | bytes]]:
    return [(n, base64.b64decode(v + "=" * (-len(v) % 4)) if n.lower().endswith("-bin") else v) for n, v in pairs]


class _Recorder:
    """connectrpc's MetadataInterceptor."""

    async def on_start(self, ctx: Any) -> HttpExchange:
        exchange = HttpExchange(ctx)
        EXCHANGE.set(exchange)
        return exchange

    async def on_end(self, exchange: HttpExchange, ctx: Any, error: Exception | None) -> None:
        exchange.end()


class _GrpcMethod(GrpcMethod):
    async def __call__(self, stream: Any, on_authenticated: Any = None) -> None:
        exchange = GrpcExchange(stream)
        EXCHANGE.set(exchange)
        try:
            await GrpcMethod.__call__(self, stream, on_authenticated)
        except GRPCError as error:
            await stream.send_trailing_metadata(
                status=error.status,
                status_message=error.message,
                status_details=error.details,
                metadata=_metadata(exchange.trailers),
            )
        else:
            await stream.send_trailing_metadata(metadata=_metadata(exchange.trailers))


class _Error(Refusal):
    def __init__(self, status: Status, text: str, messages: Sequence[Message]) -> None:
        super().__init__(status, text)
        self._messages = messages

    @property
    def details(self) -> Sequence[Message]:
        return self._messages


class Methods:
    """`types`: every message by its full name."""

    def __init__(self, types: dict[str, Any]) -> None:
        self._types = types

    async def Unary(self, caller: None, request: Any) -> Message:
        return await self._unary(request, "UnaryResponse")

    async def IdempotentUnary(self, caller: None, request: Any) -> Message:
        return await self._unary(request, "IdempotentUnaryResponse")

    async def _unary(self, request: Any, answer: str) -> Message:
        asked = request.response_definition
        await self._begin(asked)
        await anyio.sleep(asked.response_delay_ms / 1000)
        info = self._info(request)
        if asked.WhichOneof("response") == "error":
            raise self._error(asked.error, info)
        return self._answer(answer, asked.response_data, info)

    async def ServerStream(self, caller: None, request: Any) -> AsyncGenerator[Message]:
        asked = request.response_definition
        await self._begin(asked)
        info = self._info(request)
        for number, data in enumerate(asked.response_data):
            await anyio.sleep(asked.response_delay_ms / 1000)
            yield self._answer("ServerStreamResponse", data, None if number else info)
        if asked.HasField("error"):
            raise self._error(asked.error, None if asked.response_data else info)

    async def _begin(self, asked: Any) -> None:
        exchange = EXCHANGE.get()
        exchange.trailers = _pairs(asked.response_trailers)
        await exchange.send_headers(_pairs(asked.response_headers))

    def _info(self, request: Message) -> Any:
        exchange = EXCHANGE.get()
        info = self._types[f"{PACKAGE}.ConformancePayload.RequestInfo"]()
        values: dict[str, list[str]] = {}
        for name, value in exchange.headers():
            values.setdefault(name, []).append(value)
        for name, several in values.items():
            info.request_headers.add(name=name, value=several)
        timeout = exchange.timeout_ms()
        if timeout is not None:
            info.timeout_ms = round(timeout)
        info.requests.add().Pack(request)
        return info

    def _answer(self, kind: str, data: bytes, info: Message | None) -> Message:
        answer: Message = self._types[f"{PACKAGE}.{kind}"]()
        answer.payload.data = data  # type: ignore[attr-defined]
        if info is not None:
            answer.payload.request_info.CopyFrom(info)  # type: ignore[attr-defined]
        return answer

    def _error(self, error: Any, info: Message | None) -> Refusal:
        details = [self._types[each.TypeName()].FromString(each.value) for each in error.details]
        return _Error(Status(error.code), error.message, [*details, *([info] if info is not None else [])])


def _pairs(headers: Any) -> Pairs:
    return [(each.name, value) for each in headers for value in each.value]


def load(folder: str) -> tuple[dict[str, Any], Any]:
    """The types of the protos, and the descriptor of the service."""
    with tempfile.TemporaryDirectory() as into:
        described = Path(into) / "described"
        builtin = Path(protoc.__file__).parent / "_proto"
        protos = [str(file) for file in Path(folder).rglob("*.proto")]
        arguments = ["protoc", f"-I{folder}", f"-I{builtin}", f"--descriptor_set_out={described}", "--include_imports"]
        if protoc.main([*arguments, *protos]) != 0:
            raise SystemExit("protoc failed")
        files = FileDescriptorSet.FromString(described.read_bytes()).file
    # The default pool, where JSON looks up the types of Any.
    names = [file.name for file in files if not file.name.startswith("google/")]
    for file in files:
        Default().AddSerializedFile(file.SerializeToString())
    types: dict[str, Any] = GetMessageClassesForFiles(names, Default())
    payload = types[f"{PACKAGE}.ConformancePayload"]
    types[f"{PACKAGE}.ConformancePayload.RequestInfo"] = payload.RequestInfo
    file = types[f"{PACKAGE}.UnaryRequest"].DESCRIPTOR.file
    return types, file.services_by_name["ConformanceService"]


def make_server(methods: Methods, descriptor: Any, limit: int) -> Server:
    async def anyone(metadata: CallMetadata) -> None:
        return None

    service = Service(descriptor, methods, anyone)
    rpcs = [Rpc.of(descriptor.methods_by_name[name], service, _NO_METRICS) for name in METHODS]
    calls = Calls(rpcs, max_message_bytes=limit)
    application = calls._application
    application._metadata_interceptors = (*application._metadata_interceptors, _Recorder())
    grpc = {each.path: _GrpcMethod(each).handler() for each in rpcs}
    return Server(grpc, Router(calls, {}, {}), max_message_bytes=limit)


class _NoMetrics:
    def called(self, method: str, status: str, seconds: float) -> None:
        pass


_NO_METRICS = _NoMetrics()


def tls(creds: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with tempfile.NamedTemporaryFile() as file:
        file.write(creds.cert + b"\n" + creds.key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def serve(folder: str) -> None:
    types, descriptor = load(folder)
    [size] = struct.unpack(">I", sys.stdin.buffer.read(4))
    asked = types[f"{PACKAGE}.ServerCompatRequest"].FromString(sys.stdin.buffer.read(size))
    server = make_server(Methods(types), descriptor, asked.message_receive_limit or MAX_BYTES)
    context = tls(asked.server_creds) if asked.use_tls else None
    [(host, port)] = await server.listen("127.0.0.1", 0, context)
    said = types[f"{PACKAGE}.ServerCompatResponse"](host=host, port=port)
    if asked.use_tls:
        said.pem_cert = asked.server_creds.cert
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        sys.stdout.buffer.write(struct.pack(">I", said.ByteSize()) + said.SerializeToString())
        sys.stdout.buffer.flush()
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                break
        await server.close()
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1])
