"""gRPC: a method as grpclib calls it, and its errors as grpclib answers them.

In: a Rpc and grpclib's stream. Out: messages on the stream, or GRPCError. A LateCodec decodes the messages.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.message import Message
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Stream

from kannon.components.api.parsing import Unparsed
from kannon.components.api.rpc import CallMetadata, ClientGone, Outcome, Refusal, Rpc, refusal

GrpcStream = Stream[Any, Any]
_RESET_SECONDS = 0.05
_ENCODINGS = "grpc-encoding: the supported encodings are identity and gzip"


@dataclass(frozen=True, slots=True)
class GrpcMethod:
    rpc: Rpc[Any]

    def handler(self) -> Handler:
        cardinality = Cardinality.UNARY_STREAM if self.rpc.streaming else Cardinality.UNARY_UNARY
        return Handler(self, cardinality, self.rpc.request_type, self.rpc.response_type)

    async def __call__(self, stream: GrpcStream, on_authenticated: Callable[[], None] | None = None) -> None:
        incoming = _Incoming(stream)
        with self.rpc.measured() as outcome:
            try:
                caller = await self.rpc.admit(_metadata(stream))
                if caller is not None and on_authenticated is not None:
                    on_authenticated()
                if self.rpc.streaming:
                    async with aclosing(self.rpc.answers(caller, incoming)) as responses:
                        async for response in responses:
                            await stream.send_message(response)
                else:
                    await stream.send_message(await self.rpc.answer(caller, incoming))
                outcome.status = Status.OK
            except Refusal as refused:
                outcome.status = refused.status
                details = refused.details
                if not refused.metadata:
                    raise GRPCError(refused.status, refused.text, details or None) from None
                await stream.send_trailing_metadata(
                    status=refused.status,
                    status_message=refused.text,
                    status_details=details,
                    metadata=refused.metadata,
                )
            except ClientGone as gone:
                raise cast(StreamTerminatedError, gone.__cause__) from None
            finally:
                _check_deadline(stream, outcome)


def _check_deadline(stream: GrpcStream, outcome: Outcome) -> None:
    """grpclib cancels a call at its deadline, and answers with this status. The client gives up at the same time, and
    its reset may arrive first."""
    deadline = stream.deadline if outcome.status is Status.CANCELLED else None
    if deadline is not None and deadline.time_remaining() < _RESET_SECONDS:
        outcome.status = Status.DEADLINE_EXCEEDED


def _metadata(stream: GrpcStream) -> CallMetadata:
    metadata: dict[str, str] = {}
    for name, value in (stream.metadata or {}).items():
        if isinstance(value, str):  # no method takes binary values
            metadata.setdefault(name, value)
    address = stream.peer.addr()
    return CallMetadata(metadata, address[0] if address else "")


class _Incoming:
    """kannon.components.api.rpc.Incoming."""

    def __init__(self, stream: GrpcStream) -> None:
        self._stream = stream

    async def read(self) -> Message:
        try:
            request = await self._stream.recv_message()
        except GRPCError as error:
            raise Refusal(error.status, error.message or "") from None
        except StreamTerminatedError as error:
            raise ClientGone from error
        except NotImplementedError:  # grpclib's word for the compressed-flag of a message
            raise Refusal(
                Status.UNIMPLEMENTED, "grpc-encoding: the supported encodings are identity and gzip"
            ) from None
        if request is None:
            raise Refusal(Status.UNIMPLEMENTED, "the request has no message")
        return await request.parse() if isinstance(request, Unparsed) else cast(Message, request)


def with_statuses(name: str, handler: Handler) -> Handler:
    """A method of grpclib's own services (reflection, health) under the same rules for errors."""
    func = cast(Callable[[GrpcStream], Awaitable[None]], handler.func)

    async def call(stream: GrpcStream) -> None:
        try:
            await func(stream)
        except (GRPCError, StreamTerminatedError):
            raise
        except NotImplementedError:
            raise GRPCError(
                Status.UNIMPLEMENTED, "grpc-encoding: the supported encodings are identity and gzip"
            ) from None
        except Exception as error:
            refused = refusal(error, name)
            if isinstance(refused, Refusal):
                raise GRPCError(refused.status, refused.text) from None
            raise

    return handler._replace(func=call)
