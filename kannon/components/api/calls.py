"""A call: credentials, then its body, then the method, then one status.

In: services whose methods are plain (`async def M(self, caller, request) -> response`). Out: grpclib's table of
methods. The order is the point: who calls is decided from the metadata alone, before a byte of the body is read.
Errors become statuses here and nowhere else; what is not one of ours is logged, and shown as INTERNAL without its text.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call says of its caller before its body is read."""

    metadata: Mapping[str, str]
    peer: str


@dataclass(frozen=True, slots=True)
class Service(Generic[Caller]):
    """`authenticate` raises Unauthenticated; what it returns is handed to each method of `methods`."""

    descriptor: ServiceDescriptor
    methods: Any
    authenticate: Callable[[Credentials], Awaitable[Caller]]

    def table(self) -> dict[str, Handler]:
        """Every method of the descriptor; one that `methods` lacks is an AttributeError, at start."""
        table = {}
        for method in self.descriptor.methods:
            request_type = GetMessageClass(method.input_type)
            call = Call(f"{self.descriptor.name}.{method.name}", getattr(self.methods, method.name), self.authenticate)
            table[f"/{self.descriptor.full_name}/{method.name}"] = Handler(
                call, Cardinality.UNARY_UNARY, request_type, GetMessageClass(method.output_type)
            )
        return table


@dataclass(frozen=True, slots=True)
class Call(Generic[Caller]):
    """A method as grpclib calls it. Its messages come by way of a LateCodec."""

    name: str
    method: Callable[[Caller, Any], Awaitable[Message]]
    authenticate: Callable[[Credentials], Awaitable[Caller]]

    async def __call__(self, stream: "Stream[Any, Any]") -> None:
        try:
            caller = await self.authenticate(_credentials(stream))
            request = await stream.recv_message()
            if request is None:
                raise GRPCError(Status.INVALID_ARGUMENT, "the request has no message")
            if isinstance(request, Unparsed):
                request = await request.parse()
            response = await self.method(caller, request)
        except Exception as error:
            raise to_grpc(error, self.name) from None
        await stream.send_message(response)


def guarded(name: str, handler: Handler) -> Handler:
    """A method of grpclib's own services (reflection, health) under the same rules for errors."""

    async def call(stream: "Stream[Any, Any]") -> None:
        try:
            await handler.func(stream)
        except Exception as error:
            raise to_grpc(error, name) from None

    return handler._replace(func=call)


def to_grpc(error: Exception, call: str) -> Exception:
    """The status of an error. A stream that the client ended stays what it is: nobody reads the answer."""
    if isinstance(error, (GRPCError, StreamTerminatedError)):
        return error
    if isinstance(error, Throttled):
        log.warning("call not served: busy", call=call, reason=str(error))
        return GRPCError(Status.UNAVAILABLE, "the server is busy; try again")
    if isinstance(error, Unavailable):
        log.warning("call cannot be served", call=call, reason=str(error))
        return GRPCError(Status.UNAVAILABLE, "a service this call needs is away; try again")
    if isinstance(error, KannonError) and type(error) in STATUSES:
        return GRPCError(STATUSES[type(error)], str(error))
    if isinstance(error, DecodeError):
        return GRPCError(Status.INVALID_ARGUMENT, "the request is not the message this method takes")
    if isinstance(error, NotImplementedError):  # grpclib's word for the compressed-flag of a message
        return GRPCError(Status.UNIMPLEMENTED, "compressed messages are not supported")
    log.error("call failed", call=call, exc_info=error)
    return GRPCError(Status.INTERNAL, "internal error")


def _credentials(stream: "Stream[Any, Any]") -> Credentials:
    metadata: dict[str, str] = {}
    for name, value in (stream.metadata or {}).items():
        if isinstance(value, str):  # binary values are none of ours
            metadata.setdefault(name, value)
    address = stream.peer.addr()
    return Credentials(metadata, address[0] if address else "")
