"""The operator's view of mail under way, and cancel, pause, resume and retry, on the real bus."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import nats
import pytest
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.bus.bus import Bus
from kannon.components.api.cancel_worker import CancelWorker
from kannon.db.cancellations import cancel_batch
from kannon.db.pauses import end_pause
from kannon.db.pool import Database
from kannon.db.queue import Deferral, claim_due, claim_to_validate, settle_validated, settlement
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.errors import Unavailable
from kannon.mail.event import Event, EventType
from kannon.mail.pauses import Scope
from kannon.pb.admin.v1 import operations_pb2 as pb
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendRes
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from kannon.wire.event_pages import Unreadable, decode_events
from kannon.wire.events import timestamp
from tests.support.api import ADMIN, RunningApi, a_send, refusal, running_api
from tests.support.patience import patience


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
        payloads = [(await stream.get_msg("kannon_stats", n)).data or b"" for n in range(1, count + 1)]
        return [e for payload in payloads for e in decode_events(payload) if not isinstance(e, Unreadable)]
    finally:
        await client.close()


async def test_batches_are_listed_newest_first(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    second = await send(api, 1, at=datetime.now(UTC) + timedelta(days=1))
    await api.create_domain("other.org")

    async def page(domain: str, skip: int, take: int) -> tuple[list[str], int]:
        request = pb.ListBatchesRequest(domain=domain, skip=skip, take=take)
        response = await operations.ListBatches(request, metadata=ADMIN)
        return [b.message_id for b in response.batches], response.total

    assert await page("example.com", 0, 10) == ([second.message_id, batch.message_id], 2)
    assert await page("example.com", 1, 1) == ([batch.message_id], 2)
    assert await page("example.com", 0, 0) == ([], 2)
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE messages SET created_at = created_at - interval '1 day' WHERE message_id = $1", batch.message_id
        )
    noon = timestamp(datetime.now(UTC) - timedelta(hours=12))
    for request, expected in (
        (pb.ListBatchesRequest(domain="example.com", take=10, from_date=noon), second),
        (pb.ListBatchesRequest(domain="example.com", take=10, to_date=noon), batch),
    ):
        response = await operations.ListBatches(request, metadata=ADMIN)
        assert ([b.message_id for b in response.batches], response.total) == ([expected.message_id], 1)
    assert await page("other.org", 0, 10) == ([], 0)


async def test_a_batch_shows_what_became_of_it(operations: OperationsStub, batch: SendRes, db: Database) -> None:
    await validate_all(db)
    now = datetime.now(UTC)
    await ensure_partitions(db, {week_of(now)})
    await insert_events(
        db,
        [
            Event(str(n), EventType.ACCEPTED, "example.com", batch.message_id, "", now + timedelta(seconds=n))
            for n in range(3)
        ],
    )
    response = await operations.GetBatch(pb.GetBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    shown = response.batch
    assert (shown.domain, shown.subject, shown.sender_email) == ("example.com", "Hello", "news@example.com")
    assert (shown.accepted_count, shown.rejected_count, shown.waiting_count, shown.paused) == (3, 1, 3, False)
    assert shown.template_id == batch.template_id
    assert shown.scheduled_time == batch.scheduled_time
    assert dict(response.waiting) == {"scheduled": 3}
    assert [(e.type, e.count, e.first_at, e.last_at) for e in response.events] == [
        ("accepted", 3, timestamp(now), timestamp(now + timedelta(seconds=2)))
    ]


async def test_waiting_deliveries_can_be_narrowed_down(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    other = await send(api, 1)

    async def found(**narrowed: str) -> set[tuple[str, str]]:
        request = pb.ListDeliveriesRequest(take=100, **narrowed)  # type: ignore[arg-type]
        response = await operations.ListDeliveries(request, metadata=ADMIN)
        assert response.total == len(response.deliveries)
        return {(d.message_id, d.email) for d in response.deliveries}

    of_batch = {(batch.message_id, f"u{i}@example.net") for i in range(3)}
    of_other = {(other.message_id, "u0@example.net")}
    assert await found() == await found(domain="example.com") == of_batch | of_other
    await api.create_domain("other.org")
    assert await found(domain="other.org") == set()
    assert await found(message_id=other.message_id) == of_other
    assert await found(email="U0@example.net") == {(batch.message_id, "u0@example.net")} | of_other
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
    request = pb.GetTimelineRequest(message_id=batch.message_id, email="U0@Example.net")
    response = await operations.GetTimeline(request, metadata=ADMIN)
    assert [e.type for e in response.events] == [k.value for k in kinds]
    assert (response.waiting.email, response.waiting.state) == ("u0@example.net", "scheduled")
    assert response == await operations.GetTimeline(pb.GetTimelineRequest(delivery_id=delivery_id), metadata=ADMIN)
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails")
    ended = await operations.GetTimeline(request, metadata=ADMIN)
    assert ended.events == response.events
    assert not ended.HasField("waiting")
    for unknown in (
        pb.GetTimelineRequest(delivery_id=10**6),
        pb.GetTimelineRequest(message_id=batch.message_id, email="u9@example.net"),
        pb.GetTimelineRequest(message_id="msg_x@example.com", email="u0@example.net"),
    ):
        assert (await refusal(operations.GetTimeline(unknown, metadata=ADMIN)))[0] is Status.NOT_FOUND


async def test_a_timeline_says_what_the_last_attempt_met_and_what_holds_the_next(
    operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    [row, *_] = await claim_due(db, page=1)
    next_attempt = datetime.now(UTC) + timedelta(minutes=5)
    async with settlement(db) as rows:
        await rows.reschedule([Deferral(row.id, 1, next_attempt, 451, "rcpt", "mx.example.net", "try later")])
    for subject in ({"message_id": batch.message_id}, {"domain": "example.com"}, {"destination": "EXAMPLE.net"}):
        await operations.Pause(pb.PauseRequest(**subject), metadata=ADMIN)
    waiting = (await operations.GetTimeline(pb.GetTimelineRequest(delivery_id=row.id), metadata=ADMIN)).waiting
    assert (waiting.state, waiting.attempts, waiting.next_attempt_at) == ("scheduled", 1, timestamp(next_attempt))
    last = (waiting.last_stage, waiting.last_host, waiting.last_code, waiting.last_text)
    assert last == ("rcpt", "mx.example.net", 451, "try later")
    assert waiting.paused_by == ["batch", "destination", "domain"]


async def gone(db: Database, count: int = 0) -> None:
    """Until no more than `count` deliveries are left."""
    with patience():
        async with db.acquire() as connection:
            while await connection.fetchval("SELECT count(*) FROM sending_pool_emails") > count:
                await anyio.sleep(0.005)


async def test_a_cancelled_batch_fails_what_no_sender_has(
    api: RunningApi, operations: OperationsStub, db: Database, nats_url: str
) -> None:
    batch = await send(api, 600)  # more than a page
    await validate_all(db)
    under_way = await claim_due(db, page=2)
    request = pb.CancelBatchRequest(message_id=batch.message_id)
    response = await operations.CancelBatch(request, metadata=ADMIN)
    assert (response.cancelled_count, response.under_way_count) == (598, 2)
    await gone(db, 2)
    events = await published(nats_url)
    assert len({e.delivery_id for e in events}) == 598
    assert {(e.type, e.text, e.message_id) for e in events} == {(EventType.FAILED, "cancelled", batch.message_id)}
    assert {e.delivery_id for e in events}.isdisjoint({row.id for row in under_way})
    again = await operations.CancelBatch(request, metadata=ADMIN)
    assert (again.cancelled_count, again.under_way_count) == (0, 0)
    shown = await operations.GetBatch(pb.GetBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    assert (shown.batch.HasField("cancelled_at"), shown.batch.waiting_count) == (True, 2)
    assert len(await published(nats_url)) == 598


async def test_what_a_sender_has_is_not_tried_again_after_a_cancellation(
    operations: OperationsStub, batch: SendRes, db: Database, nats_url: str
) -> None:
    await validate_all(db)
    delivered, deferred, _ = await claim_due(db, page=3)
    await operations.CancelBatch(pb.CancelBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    async with settlement(db) as rows:
        await rows.delete([delivered.id])
        await rows.reschedule([Deferral(deferred.id, 1, datetime.now(UTC), 451, "rcpt", "mx", "later")])
    assert await claim_due(db, page=3) == []
    # A cancellation has whoever ends them look at once, not in five seconds.
    await operations.CancelBatch(pb.CancelBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    await gone(db, 1)
    [event] = await published(nats_url)
    assert (event.delivery_id, event.attempt, event.text) == (deferred.id, 1, "cancelled")


async def test_one_delivery_is_cancelled(
    operations: OperationsStub, batch: SendRes, db: Database, nats_url: str
) -> None:
    await validate_all(db)
    [row] = await claim_due(db, page=1)

    async def cancel(delivery_id: int) -> bool:
        request = pb.CancelDeliveryRequest(delivery_id=delivery_id)
        return (await operations.CancelDelivery(request, metadata=ADMIN)).under_way

    assert await cancel(row.id) is True
    assert await cancel(row.id + 1) is False
    await gone(db, 2)
    assert [event.delivery_id for event in await published(nats_url)] == [row.id + 1]
    timeline = await operations.GetTimeline(pb.GetTimelineRequest(delivery_id=row.id), metadata=ADMIN)
    assert timeline.waiting.HasField("cancelled_at")
    request = pb.CancelDeliveryRequest(delivery_id=row.id + 1)
    assert (await refusal(operations.CancelDelivery(request, metadata=ADMIN)))[0] is Status.NOT_FOUND
    assert [each.id for each in await claim_due(db, page=10)] == [row.id + 2]


async def test_a_cancellation_holds_without_the_bus_and_is_told_later(db: Database, bus: Bus, nats_url: str) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        batch = await send(api, 3)
        request = pb.CancelBatchRequest(message_id=batch.message_id)
        response = await OperationsStub(api.channel).CancelBatch(request, metadata=ADMIN)
        assert response.cancelled_count == 3
    assert await claim_to_validate(db, page=10) == []
    async with running_api(db, bus=bus):
        await gone(db)
    assert {event.text for event in await published(nats_url)} == {"cancelled"}


async def test_an_end_that_was_told_before_a_crash_is_told_once(db: Database, bus: Bus, nats_url: str) -> None:
    class Crashing:
        async def publish_events(self, events: Sequence[Event]) -> None:
            told.extend(events)
            await bus.publish_events(events)
            raise Unavailable("the process was killed")

    told: list[Event] = []
    async with running_api(db) as api:
        await api.create_domain("example.com")
        batch = await send(api, 3)
    await cancel_batch(db, batch.message_id)
    with pytest.raises(Unavailable):
        await CancelWorker(db, Crashing()).end_page()
    assert await CancelWorker(db, bus).end_page() == 3
    await gone(db)
    assert sorted(await published(nats_url), key=lambda e: e.delivery_id) == told  # the same ids: told once


async def test_a_paused_batch_waits_until_it_is_resumed(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    request = pb.PauseRequest(message_id=batch.message_id)
    since = [(await operations.Pause(request, metadata=ADMIN)).pause.since.ToDatetime(UTC) for _ in range(2)]
    assert since[0] == since[1]
    assert await claim_due(db, page=10) == []
    waiting = (await operations.ListDeliveries(pb.ListDeliveriesRequest(take=10), metadata=ADMIN)).deliveries
    assert [(list(d.paused_by), d.HasField("next_attempt_at")) for d in waiting] == [(["batch"], False)] * 3
    other = await send(api, 1)
    await validate_all(db)
    assert [row.message_id for row in await claim_due(db, page=10)] == [other.message_id]
    shown = await operations.GetBatch(pb.GetBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    assert shown.batch.paused
    resumed = await operations.Resume(pb.ResumeRequest(message_id=batch.message_id), metadata=ADMIN)
    assert resumed.released_count == 3
    shown = await operations.GetBatch(pb.GetBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    assert not shown.batch.paused
    assert len(await claim_due(db, page=10)) == 3
    again = await operations.Resume(pb.ResumeRequest(message_id=batch.message_id), metadata=ADMIN)
    assert again.released_count == 0


async def test_the_cancellation_of_a_paused_batch_ends_its_pause(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    async def pauses() -> list[pb.Pause]:
        return list((await operations.ListPauses(pb.ListPausesRequest(), metadata=ADMIN)).pauses)

    await operations.Pause(pb.PauseRequest(message_id=batch.message_id), metadata=ADMIN)
    await operations.CancelBatch(pb.CancelBatchRequest(message_id=batch.message_id), metadata=ADMIN)
    assert await pauses() == []
    # Neither a crash before that nor a later pause leaves one behind.
    await operations.Pause(pb.PauseRequest(message_id=batch.message_id), metadata=ADMIN)
    assert len(await pauses()) == 1
    await operations.CancelBatch(pb.CancelBatchRequest(message_id=(await send(api, 1)).message_id), metadata=ADMIN)
    with patience():
        while await pauses():
            await anyio.sleep(0.01)


async def test_a_domain_and_a_destination_are_paused(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await validate_all(db)
    for subject in ({"domain": "Example.COM"}, {"destination": "Example.NET"}):
        request = pb.PauseRequest(**subject)
        await operations.Pause(request, metadata=ADMIN)
        assert await claim_due(db, page=10) == []
        listed = (await operations.ListPauses(pb.ListPausesRequest(), metadata=ADMIN)).pauses
        [[(field, value)]] = [[(f.name, v) for f, v in p.ListFields() if f.name != "since"] for p in listed]
        assert {field: value} == {name: text.lower() for name, text in subject.items()}
        await operations.Resume(pb.ResumeRequest(**subject), metadata=ADMIN)
    assert len(await claim_due(db, page=10)) == 3


async def test_a_resumption_that_was_interrupted_is_finished(
    operations: OperationsStub, batch: SendRes, db: Database, bus: Bus
) -> None:
    await validate_all(db)
    await operations.Pause(pb.PauseRequest(message_id=batch.message_id), metadata=ADMIN)
    assert await claim_due(db, page=10) == []
    await end_pause(db, Scope.BATCH, batch.message_id)
    async with running_api(db, bus=bus):
        with patience():
            while len(await claim_due(db, page=10)) < 3:
                await anyio.sleep(0.005)


async def test_waiting_deliveries_are_tried_now_when_asked(
    api: RunningApi, operations: OperationsStub, batch: SendRes, db: Database
) -> None:
    await send(api, 1)
    await validate_all(db)
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET next_attempt_at = now() + interval '3 hours'")
        first, second, paused, _ = [
            row["id"] for row in await connection.fetch("SELECT id FROM sending_pool_emails ORDER BY id")
        ]
        await connection.execute("UPDATE sending_pool_emails SET email = 'x@Other.org' WHERE id = $1", paused)

    async def retry(**which: Any) -> int:
        return (await operations.RetryNow(pb.RetryNowRequest(**which), metadata=ADMIN)).count

    with structlog.testing.capture_logs() as logs:
        assert await retry(delivery_id=first) == 1
    [logged] = [entry for entry in logs if entry["event"] == "deliveries retried"]
    assert logged.keys() - {"log_level"} == {"event", "delivery", "count", "by"}
    assert [row.id for row in await claim_due(db, page=10)] == [first]
    await operations.Pause(pb.PauseRequest(destination="other.org"), metadata=ADMIN)
    assert await retry(message_id=batch.message_id) == 1
    assert [row.id for row in await claim_due(db, page=10)] == [second]
    assert await retry(destination="other.org") == 0
    await operations.Resume(pb.ResumeRequest(destination="other.org"), metadata=ADMIN)
    assert await retry(destination="OTHER.org", message_id=batch.message_id) == 1
    assert await retry(domain="example.com") == 1
    assert await retry(domain="example.com") == 0
    assert len(await claim_due(db, page=10)) == 2


async def test_bad_requests_are_refused_by_field(api: RunningApi, operations: OperationsStub) -> None:
    absent = "msg_x@example.com"
    invalid, missing = Status.INVALID_ARGUMENT, Status.NOT_FOUND
    seen = [
        await refusal(call)
        for call in (
            operations.ListBatches(pb.ListBatchesRequest(domain="x"), metadata=ADMIN),
            operations.ListBatches(pb.ListBatchesRequest(domain="absent.org"), metadata=ADMIN),
            operations.ListBatches(
                pb.ListBatchesRequest(domain="example.com", from_date=Timestamp(nanos=-1)), metadata=ADMIN
            ),
            operations.ListDeliveries(pb.ListDeliveriesRequest(domain="example.com", state="x"), metadata=ADMIN),
            operations.ListDeliveries(pb.ListDeliveriesRequest(domain="example.com", email="\0"), metadata=ADMIN),
            operations.GetBatch(pb.GetBatchRequest(), metadata=ADMIN),
            operations.GetBatch(pb.GetBatchRequest(message_id=absent), metadata=ADMIN),
            operations.CancelBatch(pb.CancelBatchRequest(message_id=absent), metadata=ADMIN),
            operations.CancelDelivery(pb.CancelDeliveryRequest(delivery_id=7), metadata=ADMIN),
            operations.CancelDelivery(pb.CancelDeliveryRequest(), metadata=ADMIN),
            operations.Pause(pb.PauseRequest(), metadata=ADMIN),
            operations.Pause(pb.PauseRequest(message_id=absent), metadata=ADMIN),
            operations.Pause(pb.PauseRequest(domain="absent.org"), metadata=ADMIN),
            operations.Pause(pb.PauseRequest(destination="x"), metadata=ADMIN),
            operations.Resume(pb.ResumeRequest(message_id="\0"), metadata=ADMIN),
            operations.RetryNow(pb.RetryNowRequest(), metadata=ADMIN),
            operations.RetryNow(pb.RetryNowRequest(message_id=absent), metadata=ADMIN),
            operations.RetryNow(pb.RetryNowRequest(delivery_id=2**64 - 1), metadata=ADMIN),
            operations.RetryNow(pb.RetryNowRequest(domain="absent.org"), metadata=ADMIN),
            operations.GetTimeline(pb.GetTimelineRequest(), metadata=ADMIN),
            operations.GetTimeline(pb.GetTimelineRequest(message_id=absent), metadata=ADMIN),
            operations.GetTimeline(pb.GetTimelineRequest(message_id=absent, email="\r\n."), metadata=ADMIN),
        )
    ]
    assert [(status, text.split(":")[0]) for status, text in seen] == [
        (invalid, "domain"),
        (missing, "domain"),
        (invalid, "from_date"),
        (invalid, "state"),
        (invalid, "email"),
        (invalid, "message_id"),
        (missing, "message_id"),
        (missing, "message_id"),
        (missing, "delivery_id"),
        (invalid, "delivery_id"),
        (invalid, "subject"),
        (missing, "message_id"),
        (missing, "domain"),
        (invalid, "destination"),
        (invalid, "message_id"),
        (invalid, "message_id"),
        (missing, "message_id"),
        (invalid, "delivery_id"),
        (missing, "domain"),
        (invalid, "delivery_id"),
        (invalid, "email"),
        (missing, "email"),
    ]
