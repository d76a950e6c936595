"""BatchSummary, WaitingDelivery and their like → the messages of kannon.admin.v1.

In: values of kannon.mail.overview. Out: protobuf, nothing left out.
"""

from kannon.mail.overview import BatchProgress, BatchSummary, WaitingDelivery
from kannon.pb.admin.v1.operations_pb2 import Batch, Delivery, GetBatchResponse
from kannon.wire.events import timestamp


def to_batch(batch: BatchSummary) -> Batch:
    return Batch(
        message_id=batch.message_id,
        domain=batch.domain,
        template_id=batch.template_id or "",
        subject=batch.subject,
        sender_email=batch.sender_email,
        created_at=timestamp(batch.created_at),
        scheduled_time=timestamp(batch.scheduled_at),
        accepted_count=batch.accepted_count,
        rejected_count=batch.rejected_count,
        paused=batch.paused,
        waiting_count=batch.waiting_count,
    )


def to_progress(progress: BatchProgress) -> GetBatchResponse:
    return GetBatchResponse(
        batch=to_batch(progress.summary),
        waiting={state.value: count for state, count in progress.waiting.items()},
        events={kind.value: count for kind, count in progress.events.items()},
    )


def to_delivery(delivery: WaitingDelivery) -> Delivery:
    return Delivery(
        delivery_id=delivery.id,
        message_id=delivery.message_id,
        domain=delivery.domain,
        email=delivery.email,
        state=delivery.state.value,
        due_at=timestamp(delivery.due_at),
        next_attempt_at=None if delivery.next_attempt_at is None else timestamp(delivery.next_attempt_at),
        attempts=delivery.attempts,
        last_code=delivery.last_code,
        last_stage=delivery.last_stage,
        last_host=delivery.last_host,
        last_text=delivery.last_text,
    )
