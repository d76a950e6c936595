"""The operator's view of mail under way, and cancel, pause, resume and retry, on the real bus."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import nats
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.bus.bus import Bus
from kannon.db.database import Database
from kannon.db.deliveries import claim_due, claim_to_validate, settle_validated
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from kannon.pb.admin.v1 import operations_pb2 as pb
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendRes
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from kannon.wire.events import decode_event
from tests.support.api import ADMIN, RunningApi, a_send, refusal, running_api


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        await api.create_domain("example.com")
        yield api


@pytest.fixture
def operations(api: RunningApi) -> OperationsStub:
    return OperationsStub(api.channel)


@pytest.fixture
async def batch(api: RunningApi) -> SendRes:
    """Three recipients."""
    return await send(api, 3)


async def send(api: RunningApi, count: int, at: datetime | None = None) -> SendRes:
    scheduled = None
    if at is not None:
        scheduled = Timestamp()
        scheduled.FromDatetime(at)
    recipients = [Recipient(email=f"u{i}@example.net") for i in range(count)]
    request = a_send(recipients=[*recipients, Recipient()], scheduled_time=scheduled)
    return await api.mailer.SendHTML(request, metadata=await api.create_key("example.com"))


async def validate_all(db: Database) -> None:
    page = await claim_to_validate(db, page=1000)
    await settle_validated(db, valid=[row.id for row in page], rejected=[])


async def published(nats_url: str) -> list[Event]:
    """What the stream of events holds."""
    client = await nats.connect(nats_url)
    try:
        stream = client.jetstream()
        count = (await stream.stream_info("kannon_stats")).state.messages
        return [decode_event((await stream.get_msg("kannon_stats", n)).data or b"") for n in range(1, count + 1)]
    finally:
        await client.close()


async def test_batches_are_listed_newest_first(api: RunningApi, operations: OperationsStub, batch: SendRes) -> None:
    second = await send(api, 1, at=datetime.now(UTC) + timedelta(days=1))
    await api.create_domain("other.org")

    async def page(domain: str, skip: int, take: int) -> tuple[list[str], int]:
        request = pb.ListBatchesRequest(domain=domain, skip=skip, take=take)
        response = await operations.ListBatches(request, metadata=ADMIN)
        return [b.message_id for b in response.batches], response.total

    assert await page("example.com", 0, 10) == ([second.message_id, batch.message_id], 2)
    assert await page("example.com", 1, 1) == ([batch.message_id], 2)
    assert await page("example.com", 0, 0) == ([], 2)
    assert await page("other.org", 0, 10) == ([], 0)


async def test_a_batch_shows_what_became_of_it(operations: OperationsStub, batch: SendRes, db: Database) -> None:
    await validate_all(db)
    now = datetime.now(UTC)
    await ensure_partitions(db, {week_of(now)})
    await insert_events(
        db, [Event(str(n), EventType.ACCEPTED, "example.com", batch.message_id, "", now) for n in range(3)]
    )
    response = await operations.GetBatch(pb.GetBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    shown = response.batch
    assert (shown.domain, shown.subject, shown.sender_email) == ("example.com", "Hello", "news@example.com")
    assert (shown.accepted_count, shown.rejected_count, shown.waiting_count, shown.paused) == (3, 1, 3, False)
    assert shown.template_id == batch.template_id
    assert shown.scheduled_time == batch.scheduled_time
    assert (dict(response.waiting), dict(response.events)) == ({"scheduled": 3}, {"accepted": 3})


async def test_waiting_deliveries_can_be_narrowed_down(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    other = await send(api, 1)

    async def found(**narrowed: str) -> set[tuple[str, str]]:
        request = pb.ListDeliveriesRequest(domain="example.com", take=100, **narrowed)  # type: ignore[arg-type]
        response = await operations.ListDeliveries(request, metadata=ADMIN)
        assert response.total == len(response.deliveries)
        return {(d.message_id, d.email) for d in response.deliveries}

    of_batch = {(batch.message_id, f"u{i}@example.net") for i in range(3)}
    of_other = {(other.message_id, "u0@example.net")}
    assert await found() == of_batch | of_other
    assert await found(message_id=other.message_id) == of_other
    assert await found(email="u0@example.net") == {(batch.message_id, "u0@example.net")} | of_other
    assert await found(state="scheduled") == of_batch
    assert await found(state="to_validate", email="u1@example.net") == set()


async def test_a_timeline_is_told_oldest_first_and_says_where_it_stands(
    operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    async with db.acquire() as connection:
        delivery_id = await connection.fetchval("SELECT min(id) FROM sending_pool_emails")
    now = datetime.now(UTC)
    await ensure_partitions(db, {week_of(now)})
    kinds = [EventType.ACCEPTED, EventType.ERROR, EventType.DELIVERED, EventType.OPENED]
    await insert_events(
        db,
        [
            Event(kind, kind, "example.com", batch.message_id, "u0@example.net", now + timedelta(seconds=n),
                  delivery_id=delivery_id)
            for n, kind in enumerate(kinds)
        ],
    )  # fmt: skip
    request = pb.GetTimelineRequest(delivery_id=delivery_id)
    response = await operations.GetTimeline(request, metadata=ADMIN)
    assert [e.type for e in response.events] == [k.value for k in kinds]
    assert (response.waiting.email, response.waiting.state) == ("u0@example.net", "scheduled")
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails")
    assert not (await operations.GetTimeline(request, metadata=ADMIN)).HasField("waiting")
    status, _ = await refusal(operations.GetTimeline(pb.GetTimelineRequest(delivery_id=10**6), metadata=ADMIN))
    assert status is Status.NOT_FOUND


async def test_a_cancelled_batch_fails_what_no_sender_has(
    api: RunningApi, operations: OperationsStub, db: Database, nats_url: str
) -> None:
    batch = await send(api, 600)  # more than a page
    await validate_all(db)
    under_way = await claim_due(db, page=2)
    request = pb.CancelBatchRequest(message_id=batch.message_id)
    response = await operations.CancelBatch(request, metadata=ADMIN)
    assert (response.cancelled_count, response.under_way_count) == (598, 2)
    events = await published(nats_url)
    assert len({e.delivery_id for e in events}) == 598
    assert {(e.type, e.text, e.message_id) for e in events} == {(EventType.FAILED, "cancelled", batch.message_id)}
    assert {e.delivery_id for e in events}.isdisjoint({row.id for row in under_way})
    again = await operations.CancelBatch(request, metadata=ADMIN)
    assert (again.cancelled_count, again.under_way_count) == (0, 2)
    assert len(await published(nats_url)) == 598


async def test_a_batch_cannot_be_cancelled_without_the_bus(db: Database) -> None:
    """No outcome without its event: the rows stay."""
    async with running_api(db) as api:
        await api.create_domain("example.com")
        batch = await send(api, 3)
        request = pb.CancelBatchRequest(message_id=batch.message_id)
        status, _ = await refusal(OperationsStub(api.channel).CancelBatch(request, metadata=ADMIN))
    assert status is Status.UNAVAILABLE
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM sending_pool_emails") == 3


async def test_a_paused_batch_waits_until_it_is_resumed(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    pause = pb.PauseBatchRequest(message_id=batch.message_id)
    for _ in range(2):
        assert (await operations.PauseBatch(pause, metadata=ADMIN)).batch.paused
    assert await claim_due(db, page=10) == []
    request = pb.ListDeliveriesRequest(domain="example.com", take=10)
    waiting = (await operations.ListDeliveries(request, metadata=ADMIN)).deliveries
    assert [d.HasField("next_attempt_at") for d in waiting] == [False] * 3
    other = await send(api, 1)
    await validate_all(db)
    assert [row.message_id for row in await claim_due(db, page=10)] == [other.message_id]
    resume = pb.ResumeBatchRequest(message_id=batch.message_id)
    assert not (await operations.ResumeBatch(resume, metadata=ADMIN)).batch.paused
    assert len(await claim_due(db, page=10)) == 3


async def test_what_is_not_validated_yet_is_paused_too(
    operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await operations.PauseBatch(pb.PauseBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    await validate_all(db)
    assert await claim_due(db, page=10) == []


async def test_a_pause_does_not_use_up_the_retry_window_nor_hurry_what_is_scheduled(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    future = await send(api, 1, at=later)
    await validate_all(db)
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE sending_pool_emails SET due_at = due_at - interval '2 days' WHERE due_at < now()"
        )
    for message_id in (batch.message_id, future.message_id):
        await operations.PauseBatch(pb.PauseBatchRequest(message_id=message_id), metadata=ADMIN)
        await operations.ResumeBatch(pb.ResumeBatchRequest(message_id=message_id), metadata=ADMIN)
    claimed = await claim_due(db, page=10)
    assert {row.message_id for row in claimed} == {batch.message_id}
    assert all(row.due_at > datetime.now(UTC) - timedelta(minutes=5) for row in claimed)
    async with db.acquire() as connection:
        assert (
            await connection.fetchval("SELECT next_attempt_at FROM sending_pool_emails WHERE state = 'scheduled'")
            == later
        )


async def test_waiting_deliveries_are_tried_now_when_asked(
    operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET next_attempt_at = now() + interval '3 hours'")
        one = await connection.fetchval("SELECT min(id) FROM sending_pool_emails")

    async def retry(delivery_id: int) -> int:
        request = pb.RetryNowRequest(message_id=batch.message_id, delivery_id=delivery_id)
        return (await operations.RetryNow(request, metadata=ADMIN)).count

    assert await retry(one) == 1
    assert [row.id for row in await claim_due(db, page=10)] == [one]
    assert await retry(0) == 2
    assert await retry(0) == 0
    assert len(await claim_due(db, page=10)) == 2


async def test_bad_requests_are_refused_by_field(api: RunningApi, operations: OperationsStub) -> None:
    absent = "msg_x@example.com"
    invalid, missing = Status.INVALID_ARGUMENT, Status.NOT_FOUND
    seen = [
        await refusal(call)
        for call in (
            operations.ListBatches(pb.ListBatchesRequest(domain="x"), metadata=ADMIN),
            operations.ListBatches(pb.ListBatchesRequest(domain="absent.org"), metadata=ADMIN),
            operations.ListDeliveries(pb.ListDeliveriesRequest(domain="example.com", state="x"), metadata=ADMIN),
            operations.ListDeliveries(pb.ListDeliveriesRequest(domain="example.com", email="\0"), metadata=ADMIN),
            operations.GetBatch(pb.GetBatchRequest(), metadata=ADMIN),
            operations.GetBatch(pb.GetBatchRequest(message_id=absent), metadata=ADMIN),
            operations.CancelBatch(pb.CancelBatchRequest(message_id=absent), metadata=ADMIN),
            operations.PauseBatch(pb.PauseBatchRequest(message_id=absent), metadata=ADMIN),
            operations.ResumeBatch(pb.ResumeBatchRequest(message_id="\0"), metadata=ADMIN),
            operations.RetryNow(pb.RetryNowRequest(message_id=absent), metadata=ADMIN),
            operations.RetryNow(pb.RetryNowRequest(message_id=absent, delivery_id=2**64 - 1), metadata=ADMIN),
            operations.GetTimeline(pb.GetTimelineRequest(), metadata=ADMIN),
        )
    ]
    assert [(status, text.split(":")[0]) for status, text in seen] == [
        (invalid, "domain"),
        (missing, "domain"),
        (invalid, "state"),
        (invalid, "email"),
        (invalid, "message_id"),
        *[(missing, "message_id")] * 5,
        (invalid, "delivery_id"),
        (invalid, "delivery_id"),
    ]
