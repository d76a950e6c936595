"""When the guard pauses batches of a domain, through the API; and the reason of a pause where an operator looks."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from grpclib.const import Status

from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from kannon.mail.guard import GuardRule
from kannon.pb.admin.v1 import operations_pb2
from kannon.pb.admin.v1 import reputation_pb2 as pb
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.admin.v1.reputation_grpc import ReputationStub
from tests.support.api import ADMIN, RunningApi, refusal, running_api
from tests.support.pool import insert_batch

DOMAIN = "example.com"


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        await api.create_domain(DOMAIN)
        yield api


async def test_a_domain_differs_from_the_configuration_and_returns_to_it(api: RunningApi) -> None:
    stub = ReputationStub(api.channel)
    first = await stub.GetGuard(pb.GetGuardRequest(domain=DOMAIN), metadata=ADMIN)
    assert first.overrides == pb.GuardOverrides()
    wanted = pb.GuardOverrides(enabled=False, dead_percent=12.5)
    changed = await stub.SetGuard(pb.SetGuardRequest(domain=DOMAIN, overrides=wanted), metadata=ADMIN)
    assert (changed.guard.enabled, changed.guard.dead_percent) == (False, 12.5)
    assert changed.guard.complaint_percent == first.guard.complaint_percent
    read = await stub.GetGuard(pb.GetGuardRequest(domain=DOMAIN), metadata=ADMIN)
    assert (read.guard, read.overrides) == (changed.guard, wanted)
    back = await stub.SetGuard(pb.SetGuardRequest(domain=DOMAIN), metadata=ADMIN)
    assert (back.guard, back.overrides) == (first.guard, pb.GuardOverrides())


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (pb.GuardOverrides(dead_percent=-1), "overrides.dead_percent"),
        (pb.GuardOverrides(dead_percent=math.nan), "overrides.dead_percent"),
        (pb.GuardOverrides(complaint_percent=100.5), "overrides.complaint_percent"),
        (pb.GuardOverrides(complaint_percent=math.inf), "overrides.complaint_percent"),
    ],
)
async def test_what_is_no_percentage_is_refused(api: RunningApi, overrides: pb.GuardOverrides, field: str) -> None:
    stub = ReputationStub(api.channel)
    request = pb.SetGuardRequest(domain=DOMAIN, overrides=overrides)
    status, text = await refusal(stub.SetGuard(request, metadata=ADMIN))
    assert (status, text) == (Status.INVALID_ARGUMENT, f"{field}: must be from 0 to 100")


async def test_a_domain_that_is_not_there_is_not_found(api: RunningApi) -> None:
    stub = ReputationStub(api.channel)
    for call in (
        stub.GetGuard(pb.GetGuardRequest(domain="absent.org"), metadata=ADMIN),
        stub.SetGuard(pb.SetGuardRequest(domain="absent.org"), metadata=ADMIN),
    ):
        assert await refusal(call) == (Status.NOT_FOUND, 'domain: no domain "absent.org"')


async def test_the_reason_is_in_the_pauses_and_in_the_batch(api: RunningApi, db: Database) -> None:
    at = datetime(2026, 3, 4, tzinfo=UTC)
    await insert_batch(db, [f"u{n}@x.org" for n in range(300)], state="scheduled")
    await ensure_partitions(db, [week_of(at)])
    dead = [
        Event(str(n), EventType.BOUNCED, DOMAIN, f"msg_1@{DOMAIN}", f"u{n}@x.org", at, delivery_id=n, permanent=True,
              enhanced_status="5.1.1", stage="rcpt")
        for n in range(200)
    ]  # fmt: skip
    await insert_events(db, dead, guard=GuardRule())
    operations = OperationsStub(api.channel)
    reason = "200 of 200 addresses are dead (100 %; the limit is 10 %)"
    listed = await operations.ListPauses(operations_pb2.ListPausesRequest(), metadata=ADMIN)
    assert [each.reason for each in listed.pauses] == [reason]
    request = operations_pb2.GetBatchRequest(message_id=f"msg_1@{DOMAIN}")
    batch = (await operations.GetBatch(request, metadata=ADMIN)).batch
    assert (batch.paused, batch.pause_reason) == (True, reason)
    await operations.Resume(operations_pb2.ResumeRequest(message_id=f"msg_1@{DOMAIN}"), metadata=ADMIN)
    assert not (await operations.GetBatch(request, metadata=ADMIN)).batch.pause_reason
