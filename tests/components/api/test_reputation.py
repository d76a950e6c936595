"""When the guard pauses batches of a domain, through the API; and the reason of a pause where an operator looks."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.db.pool import Database
from kannon.db.reports import insert_report
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from kannon.mail.guard import GuardRule
from kannon.mail.reports.read import read_report
from kannon.mail.tls_report import Reporter, ResultType, TlsCount, TlsResult, make_report
from kannon.pb.admin.v1 import operations_pb2
from kannon.pb.admin.v1 import reputation_pb2 as pb
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.admin.v1.reputation_grpc import ReputationStub
from tests.support.api import ADMIN, RunningApi, refusal, running_api
from tests.support.pool import insert_batch
from tests.support.received_reports import NOW, PROVIDERS, mail_of

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


async def test_reports_are_summed_and_explained(api: RunningApi, db: Database) -> None:
    stub = ReputationStub(api.channel)
    empty = await stub.GetReports(pb.GetReportsRequest(domain=DOMAIN), metadata=ADMIN)
    assert (empty.dmarc.mails, list(empty.reporters)) == (0, [])
    for mail in (*(provider.mail for provider in PROVIDERS), tls_mail()):
        await insert_report(db, DOMAIN, read_report(mail, DOMAIN, NOW))
    request = pb.GetReportsRequest(domain=DOMAIN, from_date=stamp(NOW - timedelta(days=7)), to_date=stamp(NOW))
    found = await stub.GetReports(request, metadata=ADMIN)
    assert (found.dmarc.mails, found.dmarc.aligned, found.dmarc.source_count) == (20_000, 19_760, 3)
    assert [each.address for each in found.dmarc.sources] == ["198.51.100.7", "2001:db8::25", "192.0.2.1"]
    assert "DKIM: the signature by kannon._domainkey.example.com is broken" in found.dmarc.sources[0].why[1]
    assert list(found.dmarc.sources[2].why) == []
    assert (found.tls.sessions, found.tls.failed) == (103, 3)
    assert [(each.type, each.host, each.sessions) for each in found.tls.failures] == [
        ("certificate-expired", "mx.example.com", 3)
    ]
    assert len(found.reporters) == 21


async def test_reports_of_a_span_that_is_none_are_refused(api: RunningApi) -> None:
    stub = ReputationStub(api.channel)
    backwards = pb.GetReportsRequest(domain=DOMAIN, from_date=stamp(NOW), to_date=stamp(NOW - timedelta(days=1)))
    assert await refusal(stub.GetReports(backwards, metadata=ADMIN)) == (
        Status.INVALID_ARGUMENT,
        "from_date: is after to_date",
    )
    absent = pb.GetReportsRequest(domain="absent.org")
    assert await refusal(stub.GetReports(absent, metadata=ADMIN)) == (
        Status.NOT_FOUND,
        'domain: no domain "absent.org"',
    )


def stamp(at: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(at)
    return value


def tls_mail() -> bytes:
    day = NOW.date() - timedelta(days=1)
    failed = TlsResult(failure=ResultType.EXPIRED, host="mx.example.com")
    counts = [TlsCount(day, DOMAIN, TlsResult(), 100), TlsCount(day, DOMAIN, failed, 3)]
    text = make_report(day, DOMAIN, counts, Reporter("Sender", "tls@sender.example"))
    return mail_of(text, "application/tlsrpt+json", "r.json")
