"""A call, whatever protocol carries it: credentials, then the request, then the method, then an answer or one status.

In: services whose methods are plain, and a call as its protocol presents it (`Incoming`). Out: response messages, or a
Refusal with a gRPC status, which every protocol can express. The order is the point: the metadata alone decides the
caller, before a byte of the body is read. Errors become statuses here and nowhere else; an unexpected one is logged,
and the client sees INTERNAL without its text.
"""

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpclib.const import Status

from kannon.errors import (
    AlreadyExists,
    DiskLow,
    FailedPrecondition,
    InvalidArgument,
    KannonError,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
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
log = structlog.get_logger(__name__)


class Metrics(Protocol):
    def called(self, method: str, status: str, seconds: float) -> None: ...


class Refusal(Exception):
    """A call that gets no answer but a status, and a text that is fit for the client.

    `retry_after` is in seconds, None where waiting is not known to help. `field` is the path of the wrong field in the
    request, empty where it is none.
    """

    def __init__(self, status: Status, text: str, retry_after: float | None = None, field: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after
        self.field = field

    @property
    def metadata(self) -> dict[str, str]:
        """For the client. RFC 9110 §10.2.3: whole seconds."""
        return {} if self.retry_after is None else {"retry-after": str(self._retry_seconds())}

    @property
    def details(self) -> Sequence[Message]:
        """For programs: google.rpc's messages, which every protocol of calls can carry."""
        details: list[Message] = []
        if self.field:
            problem = self.text.removeprefix(f"{self.field}: ")
            violation = BadRequest.FieldViolation(field=self.field, description=problem)
            details.append(BadRequest(field_violations=[violation]))
        if self.retry_after is not None:
            info = RetryInfo()
            info.retry_delay.FromSeconds(self._retry_seconds())
            details.append(info)
        return details

    def _retry_seconds(self) -> int:
        return max(1, math.ceil(self.retry_after or 0))


class ClientGone(Exception):
    """The client has ended the call before its request was read. No answer is sent."""


@dataclass(frozen=True, slots=True)
class CallMetadata:
    """What an authenticator decides by, before the body is read. `peer` is an address, empty where it is not known."""

    metadata: Mapping[str, str]
    peer: str


class Incoming(Protocol):
    """The request of one call, as its protocol presents it."""

    async def read(self) -> Message:
        """Raises Refusal (its size, its form), DecodeError, KannonError, ClientGone."""


@dataclass(slots=True)
class Outcome:
    """The status that a call ends with: CANCELLED, unless it gets to an answer."""

    status: Status = Status.CANCELLED


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Caller]):
    """One method of a service. `name` is Service.Method, `path` is /package.Service/Method.

    `method` takes the caller and the request. It is a coroutine function that returns the response, or an async
    generator function where the proto has `returns (stream …)`.
    """

    descriptor: MethodDescriptor
    method: Callable[[Caller, Any], Any]
    authenticate: Callable[[CallMetadata], Awaitable[Caller]]
    name: str
    path: str
    request_type: type[Message]
    response_type: type[Message]
    streaming: bool
    metrics: Metrics

    @classmethod
    def of(cls, descriptor: MethodDescriptor, service: "Service[Caller]", metrics: Metrics) -> "Rpc[Caller]":
        owner = descriptor.containing_service
        return cls(
            descriptor,
            getattr(service.methods, descriptor.name),
            service.authenticate,
            f"{owner.name}.{descriptor.name}",
            f"/{owner.full_name}/{descriptor.name}",
            GetMessageClass(descriptor.input_type),
            GetMessageClass(descriptor.output_type),
            descriptor.server_streaming,
            metrics,
        )

    async def admit(self, metadata: CallMetadata) -> Caller:
        """The caller, before a byte of the body is read. Raises Refusal."""
        try:
            return await self.authenticate(metadata)
        except Exception as error:
            raise refusal(error, self.name) from None

    async def answer(self, caller: Caller, incoming: Incoming) -> Message:
        """The response of a unary method. Raises Refusal, ClientGone."""
        try:
            response: Message = await self.method(caller, await incoming.read())
        except Exception as error:
            raise refusal(error, self.name) from None
        return response

    async def answers(self, caller: Caller, incoming: Incoming) -> AsyncGenerator[Message]:
        """The responses of a streaming method. Raises Refusal, ClientGone."""
        try:
            responses: AsyncGenerator[Message] = self.method(caller, await incoming.read())
            async with aclosing(responses):
                async for response in responses:
                    yield response
        except Exception as error:
            raise refusal(error, self.name) from None

    @contextmanager
    def measured(self) -> Iterator[Outcome]:
        """Around the whole call; the caller sets the status."""
        started = time.perf_counter()
        outcome = Outcome()
        try:
            yield outcome
        finally:
            self.metrics.called(self.name, outcome.status.name, time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Service(Generic[Caller]):
    """`authenticate` raises Unauthenticated; each method of `methods` gets the caller that it returns, None where the
    service is open to anyone."""

    descriptor: ServiceDescriptor
    methods: Any
    authenticate: Callable[[CallMetadata], Awaitable[Caller]]

    def rpcs(self, metrics: Metrics = NULL_METRICS) -> "list[Rpc[Caller]]":
        """Every method of the descriptor; one that `methods` lacks is an AttributeError, at start."""
        return [Rpc.of(method, self, metrics) for method in self.descriptor.methods]


def refusal(error: Exception, call: str) -> Exception:
    """The status of an error. Refusal and ClientGone stay as they are."""
    if isinstance(error, (Refusal, ClientGone)):
        return error
    if isinstance(error, Throttled):
        log.warning("call refused: busy", call=call, reason=str(error))
        return Refusal(Status.UNAVAILABLE, "the server is busy; try again")
    if isinstance(error, DiskLow):
        log.warning("send refused", call=call, reason=str(error))
        return Refusal(Status.UNAVAILABLE, str(error))
    if isinstance(error, Unavailable):
        log.warning("call refused: unavailable", call=call, reason=str(error))
        return Refusal(Status.UNAVAILABLE, "a service this call needs is away; try again")
    if isinstance(error, QuotaExceeded):
        return Refusal(Status.RESOURCE_EXHAUSTED, str(error), error.retry_after)
    if isinstance(error, InvalidArgument):
        return Refusal(Status.INVALID_ARGUMENT, str(error), field=error.field)
    if isinstance(error, KannonError) and type(error) in STATUSES:
        return Refusal(STATUSES[type(error)], str(error))
    if isinstance(error, DecodeError):
        return Refusal(Status.INVALID_ARGUMENT, "the request is not the message this method takes")
    log.error("call failed", call=call, exc_info=error)
    return Refusal(Status.INTERNAL, "internal error")
