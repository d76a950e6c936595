"""A call: authentication, then its body, then the method, then one status.

In: services whose methods are plain (`async def M(self, caller, request) -> response`). Out: grpclib's table of
methods. The order is the point: the metadata alone decides the caller, before a byte of the body is read. Errors become
statuses here and nowhere else; an unexpected one is logged, and the client sees INTERNAL without its text.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Stream

from kannon.components.api.parsing import Unparsed
from kannon.errors import (
    AlreadyExists,
    DiskLow,
    FailedPrecondition,
    InvalidArgument,
    KannonError,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from kannon.metrics.null_metrics import NULL_METRICS

STATUSES: Mapping[type[KannonError], Status] = {
    InvalidArgument: Status.INVALID_ARGUMENT,
    NotFound: Status.NOT_FOUND,
    AlreadyExists: Status.ALREADY_EXISTS,
    PermissionDenied: Status.PERMISSION_DENIED,
    Unauthenticated: Status.UNAUTHENTICATED,
    FailedPrecondition: Status.FAILED_PRECONDITION,
    LimitExceeded: Status.RESOURCE_EXHAUSTED,
    Unavailable: Status.UNAVAILABLE,
}

Caller = TypeVar("Caller")


class Metrics(Protocol):
    def called(self, method: str, status: str, seconds: float) -> None: ...


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CallMetadata:
    """What an authenticator decides by, before the body is read. `peer` is an address, empty where it is not known."""

    metadata: Mapping[str, str]
    peer: str


@dataclass(frozen=True, slots=True)
class Service(Generic[Caller]):
    """`authenticate` raises Unauthenticated; each method of `methods` gets the caller that it returns, None where the
    service is open to anyone."""

    descriptor: ServiceDescriptor
    methods: Any
    authenticate: Callable[[CallMetadata], Awaitable[Caller]]

    def table(self, metrics: Metrics = NULL_METRICS) -> dict[str, Handler]:
        """Every method of the descriptor; one that `methods` lacks is an AttributeError, at start."""
        table = {}
        for method in self.descriptor.methods:
            request_type = GetMessageClass(method.input_type)
            name = f"{self.descriptor.name}.{method.name}"
            call = Call(name, getattr(self.methods, method.name), self.authenticate, metrics)
            table[f"/{self.descriptor.full_name}/{method.name}"] = Handler(
                call, Cardinality.UNARY_UNARY, request_type, GetMessageClass(method.output_type)
            )
        return table


@dataclass(frozen=True, slots=True)
class Call(Generic[Caller]):
    """A method as grpclib calls it. A LateCodec decodes its messages."""

    name: str
    method: Callable[[Caller, Any], Awaitable[Message]]
    authenticate: Callable[[CallMetadata], Awaitable[Caller]]
    metrics: Metrics

    async def __call__(self, stream: "Stream[Any, Any]", on_authenticated: Callable[[], None] | None = None) -> None:
        started = time.perf_counter()
        status = Status.CANCELLED  # unless the call gets to an answer
        try:
            response = await self._answer(stream, on_authenticated)
            await stream.send_message(response)
            status = Status.OK
        except GRPCError as error:
            status = error.status
            raise
        finally:
            if status is Status.CANCELLED and stream.deadline is not None and not stream.deadline.time_remaining():
                status = Status.DEADLINE_EXCEEDED  # grpclib has cancelled the call, and answers with this status
            self.metrics.called(self.name, status.name, time.perf_counter() - started)

    async def _answer(self, stream: "Stream[Any, Any]", on_authenticated: Callable[[], None] | None) -> Message:
        try:
            caller = await self.authenticate(_metadata(stream))
            if caller is not None and on_authenticated is not None:
                on_authenticated()
            request = await stream.recv_message()
            if request is None:
                raise GRPCError(Status.INVALID_ARGUMENT, "the request has no message")
            if isinstance(request, Unparsed):
                request = await request.parse()
            return await self.method(caller, request)
        except Exception as error:
            raise to_grpc(error, self.name) from None


def with_statuses(name: str, handler: Handler) -> Handler:
    """A method of grpclib's own services (reflection, health) under the same rules for errors."""

    async def call(stream: "Stream[Any, Any]") -> None:
        try:
            await handler.func(stream)
        except Exception as error:
            raise to_grpc(error, name) from None

    return handler._replace(func=call)


def to_grpc(error: Exception, call: str) -> Exception:
    """The status of an error. StreamTerminatedError stays as it is: the client has ended the stream."""
    if isinstance(error, (GRPCError, StreamTerminatedError)):
        return error
    if isinstance(error, Throttled):
        log.warning("call refused: busy", call=call, reason=str(error))
        return GRPCError(Status.UNAVAILABLE, "the server is busy; try again")
    if isinstance(error, DiskLow):
        log.warning("send refused", call=call, reason=str(error))
        return GRPCError(Status.UNAVAILABLE, str(error))
    if isinstance(error, Unavailable):
        log.warning("call refused: unavailable", call=call, reason=str(error))
        return GRPCError(Status.UNAVAILABLE, "a service this call needs is away; try again")
    if isinstance(error, KannonError) and type(error) in STATUSES:
        return GRPCError(STATUSES[type(error)], str(error))
    if isinstance(error, DecodeError):
        return GRPCError(Status.INVALID_ARGUMENT, "the request is not the message this method takes")
    if isinstance(error, NotImplementedError):  # grpclib's word for the compressed-flag of a message
        return GRPCError(Status.UNIMPLEMENTED, "compressed messages are not supported")
    log.error("call failed", call=call, exc_info=error)
    return GRPCError(Status.INTERNAL, "internal error")


def _metadata(stream: "Stream[Any, Any]") -> CallMetadata:
    metadata: dict[str, str] = {}
    for name, value in (stream.metadata or {}).items():
        if isinstance(value, str):  # no method takes binary values
            metadata.setdefault(name, value)
    address = stream.peer.addr()
    return CallMetadata(metadata, address[0] if address else "")
