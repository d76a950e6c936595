"""kannon.admin.v1.Operations: batches and deliveries under way, and what can still be done about them.

In: requests of the administrator. Out: pages, timelines, counts. Order of effects of a cancellation, page by page: the
rows are locked, their `failed` events published (acknowledged), the rows deleted. A crash in between leaves rows whose
end was already told; a repeated cancellation tells it under the same event ids.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog

from kannon.components.api.arguments import MAX_PAGE, domain_name, found
from kannon.components.api.credentials import Admin
from kannon.db import domains, operations
from kannon.db.database import Database
from kannon.db.operations import Cancellable
from kannon.errors import InvalidArgument, NotFound, Unavailable
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.mail.states import State
from kannon.pb.admin.v1 import operations_pb2 as pb
from kannon.wire.events import to_stats
from kannon.wire.operations import to_batch, to_delivery, to_progress

CANCELLED = "cancelled"
_CANCEL_PAGE = 500
_LARGEST_ID = 2**63 - 1
log = structlog.get_logger(__name__)


class OutcomeBus(Protocol):
    """Of the bus: tells outcomes, and the dispatchers that there is work."""

    async def publish_events(self, events: Sequence[Event]) -> None: ...

    async def wake_dispatcher(self) -> None: ...


class OperationsMethods:
    def __init__(self, db: Database, bus: OutcomeBus) -> None:
        self._db = db
        self._bus = bus

    async def ListBatches(self, caller: Admin, request: pb.ListBatchesRequest) -> pb.ListBatchesResponse:
        domain = await self._domain(request.domain)
        page, total = await operations.list_batches(
            self._db, domain, skip=request.skip, take=min(request.take, MAX_PAGE)
        )
        return pb.ListBatchesResponse(batches=[to_batch(b) for b in page], total=total)

    async def GetBatch(self, caller: Admin, request: pb.GetBatchRequest) -> pb.GetBatchResponse:
        message_id = _message_id(request.message_id)
        progress = await operations.find_batch_progress(self._db, message_id)
        return to_progress(found(progress, _no_batch(message_id)))

    async def ListDeliveries(self, caller: Admin, request: pb.ListDeliveriesRequest) -> pb.ListDeliveriesResponse:
        domain = await self._domain(request.domain)
        if request.state and request.state not in frozenset(State):
            raise InvalidArgument("state", f"is none of {', '.join(State)}")
        for field, text in (("message_id", request.message_id), ("email", request.email)):
            if "\x00" in text:
                raise InvalidArgument(field, "must not hold a NUL")
        page, total = await operations.list_waiting(
            self._db,
            domain,
            message_id=request.message_id,
            email=request.email,
            state=request.state,
            skip=request.skip,
            take=min(request.take, MAX_PAGE),
        )
        return pb.ListDeliveriesResponse(deliveries=[to_delivery(d) for d in page], total=total)

    async def GetTimeline(self, caller: Admin, request: pb.GetTimelineRequest) -> pb.GetTimelineResponse:
        delivery_id = _delivery_id(request.delivery_id)
        events, waiting = await operations.find_timeline(self._db, delivery_id)
        if waiting is None and not events:
            raise NotFound(f"delivery_id: nothing is known of {delivery_id}")
        return pb.GetTimelineResponse(
            events=[to_stats(event) for event in events], waiting=None if waiting is None else to_delivery(waiting)
        )

    async def CancelBatch(self, caller: Admin, request: pb.CancelBatchRequest) -> pb.CancelBatchResponse:
        message_id = _message_id(request.message_id)
        found(await operations.find_batch_summary(self._db, message_id), _no_batch(message_id))
        cancelled = 0
        while True:
            async with operations.cancelling(self._db, message_id, page=_CANCEL_PAGE) as rows:
                await self._bus.publish_events([_cancelled(row, datetime.now(UTC)) for row in rows])
            cancelled += len(rows)
            if not rows:
                break
        batch = found(await operations.find_batch_summary(self._db, message_id), _no_batch(message_id))
        log.info("batch cancelled", batch=message_id, cancelled=cancelled, by=caller.attribution)
        return pb.CancelBatchResponse(cancelled_count=cancelled, under_way_count=batch.waiting_count)

    async def PauseBatch(self, caller: Admin, request: pb.PauseBatchRequest) -> pb.PauseBatchResponse:
        message_id = _message_id(request.message_id)
        if not await operations.pause_batch(self._db, message_id):
            raise NotFound(_no_batch(message_id))
        log.info("batch paused", batch=message_id, by=caller.attribution)
        return pb.PauseBatchResponse(batch=await self._batch(message_id))

    async def ResumeBatch(self, caller: Admin, request: pb.ResumeBatchRequest) -> pb.ResumeBatchResponse:
        message_id = _message_id(request.message_id)
        if not await operations.resume_batch(self._db, message_id):
            raise NotFound(_no_batch(message_id))
        await self._wake()
        log.info("batch resumed", batch=message_id, by=caller.attribution)
        return pb.ResumeBatchResponse(batch=await self._batch(message_id))

    async def RetryNow(self, caller: Admin, request: pb.RetryNowRequest) -> pb.RetryNowResponse:
        message_id = _message_id(request.message_id)
        delivery_id = _delivery_id(request.delivery_id) if request.delivery_id else 0
        found(await operations.find_batch_summary(self._db, message_id), _no_batch(message_id))
        count = await operations.retry_now(self._db, message_id, delivery_id)
        await self._wake()
        log.info("retried now", batch=message_id, count=count, by=caller.attribution)
        return pb.RetryNowResponse(count=count)

    async def _domain(self, text: str) -> str:
        domain = domain_name(text)
        found(await domains.find_domain(self._db, domain), f'domain: no domain "{domain}"')
        return domain

    async def _batch(self, message_id: str) -> pb.Batch:
        return to_batch(found(await operations.find_batch_summary(self._db, message_id), _no_batch(message_id)))

    async def _wake(self) -> None:
        """Only sooner than the dispatcher's next look."""
        try:
            await self._bus.wake_dispatcher()
        except Unavailable as error:
            log.debug("dispatcher not woken", reason=str(error))


def _cancelled(row: Cancellable, now: datetime) -> Event:
    return Event(
        event_id=delivery_event_id(row.id, row.attempts, EventType.FAILED),
        type=EventType.FAILED,
        domain=row.domain,
        message_id=row.message_id,
        email=row.email,
        at=now,
        delivery_id=row.id,
        attempt=row.attempts,
        text=CANCELLED,
    )


def _message_id(text: str) -> str:
    if not text:
        raise InvalidArgument("message_id", "must not be empty")
    if "\x00" in text:
        raise NotFound(_no_batch(text.replace("\x00", "")))
    return text


def _delivery_id(number: int) -> int:
    if not 0 < number <= _LARGEST_ID:
        raise InvalidArgument("delivery_id", "is not the id of a delivery")
    return number


def _no_batch(message_id: str) -> str:
    return f'message_id: no batch "{message_id[:300]}"'
