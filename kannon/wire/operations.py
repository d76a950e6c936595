"""BatchSummary, BatchProgress, WaitingDelivery, Pause → the messages of kannon.admin.v1.

In: values of kannon.mail.queue_view and kannon.mail.pauses. Out: protobuf, all fields.
"""

from kannon.mail.pauses import Pause, Scope
from kannon.mail.queue_view import BatchProgress, BatchSummary, WaitingDelivery
from kannon.pb.admin.v1 import operations_pb2 as pb
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
        cancelled_at=None if batch.cancelled_at is None else timestamp(batch.cancelled_at),
        tag=batch.tag,
        metadata=batch.metadata,
        pause_reason=batch.pause_reason,
    )


def to_progress(progress: BatchProgress) -> GetBatchResponse:
    by_time = sorted(progress.events.items(), key=lambda item: (item[1].first_at, item[0]))
    return GetBatchResponse(
        batch=to_batch(progress.summary),
        waiting={state.value: count for state, count in progress.waiting.items()},
        events=[
            pb.Happened(
                type=kind.value,
                count=happened.count,
                first_at=timestamp(happened.first_at),
                last_at=timestamp(happened.last_at),
            )
            for kind, happened in by_time
        ],
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
        cancelled_at=None if delivery.cancelled_at is None else timestamp(delivery.cancelled_at),
        paused_by=[scope.value for scope in delivery.paused_by],
    )


def to_pause(pause: Pause) -> pb.Pause:
    since, reason = timestamp(pause.since), pause.reason
    match pause.scope:
        case Scope.BATCH:
            return pb.Pause(message_id=pause.subject, since=since, reason=reason)
        case Scope.DOMAIN:
            return pb.Pause(domain=pause.subject, since=since, reason=reason)
        case Scope.DESTINATION:
            return pb.Pause(destination=pause.subject, since=since, reason=reason)
