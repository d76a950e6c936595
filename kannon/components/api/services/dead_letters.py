"""kannon.admin.v1.Parked: lists dead letters (messages that no component could handle), retries and deletes them."""

from typing import Protocol

import structlog

from kannon.bus.dead_letters import DeadLetter
from kannon.components.api.callers import Admin
from kannon.components.api.services.arguments import MAX_PAGE
from kannon.errors import InvalidArgument, NotFound
from kannon.pb.admin.v1 import parked_pb2 as pb
from kannon.wire.events import timestamp

MAX_PAYLOAD = 16 << 10
_LARGEST = 2**63 - 1
log = structlog.get_logger(__name__)


class DeadLetterBus(Protocol):
    async def list_dead_letters(self, *, after: int, take: int) -> tuple[list[DeadLetter], int]: ...
    async def retry_dead_letters(self, sequence: int) -> bool: ...
    async def delete_dead_letters(self, sequence: int) -> bool: ...


class DeadLetterMethods:
    def __init__(self, bus: DeadLetterBus) -> None:
        self._bus = bus

    async def ListParked(self, caller: Admin, request: pb.ListParkedRequest) -> pb.ListParkedResponse:
        if request.after >= _LARGEST:
            raise InvalidArgument("after", "is not a sequence number")
        page, total = await self._bus.list_dead_letters(after=request.after, take=min(request.take, MAX_PAGE))
        return pb.ListParkedResponse(messages=[_to_message(message) for message in page], total=total)

    async def RetryParked(self, caller: Admin, request: pb.RetryParkedRequest) -> pb.RetryParkedResponse:
        if not await self._bus.retry_dead_letters(_sequence(request.sequence)):
            raise NotFound(f"sequence: there is no dead letter {request.sequence}")
        log.info("dead letter published again", sequence=request.sequence, by=caller.attribution)
        return pb.RetryParkedResponse()

    async def DeleteParked(self, caller: Admin, request: pb.DeleteParkedRequest) -> pb.DeleteParkedResponse:
        if not await self._bus.delete_dead_letters(_sequence(request.sequence)):
            raise NotFound(f"sequence: there is no dead letter {request.sequence}")
        log.info("dead letter deleted", sequence=request.sequence, by=caller.attribution)
        return pb.DeleteParkedResponse()


def _sequence(number: int) -> int:
    if not 0 < number <= _LARGEST:
        raise InvalidArgument("sequence", "is not a sequence number")
    return number


def _to_message(message: DeadLetter) -> pb.ParkedMessage:
    return pb.ParkedMessage(
        sequence=message.sequence,
        parked_at=timestamp(message.parked_at),
        subject=message.subject,
        reason=message.reason,
        size=len(message.payload),
        payload=message.payload[:MAX_PAYLOAD],
    )
