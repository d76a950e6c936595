"""Suppressions through the API: what a send leaves out, and the list as the administrator sees and changes it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.components.api.services.suppressions import MAX_ENTRIES
from kannon.db.pool import Database
from kannon.pb.admin.v1 import suppressions_pb2 as pb
from kannon.pb.admin.v1.suppressions_grpc import SuppressionsStub
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from tests.support.api import ADMIN, RunningApi, a_send, policy, refusal, running_api

DOMAIN = "example.com"


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        await api.create_domain(DOMAIN)
        yield api


@pytest.fixture
def stub(api: RunningApi) -> SuppressionsStub:
    return SuppressionsStub(api.channel)


async def add(stub: SuppressionsStub, *emails: str, **fields: Any) -> int:
    entries = [pb.Suppression(email=email, **fields) for email in emails]
    request = pb.AddSuppressionsRequest(domain=DOMAIN, suppressions=entries)
    return (await stub.AddSuppressions(request, metadata=ADMIN)).count


async def send(api: RunningApi, *emails: str, **changes: Any) -> list[tuple[str, str]]:
    """Whom it rejected, and why."""
    recipients = [Recipient(email=email) for email in emails]
    answer = await api.mailer.SendHTML(
        a_send(recipients=recipients, **changes), metadata=await api.create_key(DOMAIN, "x")
    )
    assert answer.accepted_count == len(emails) - answer.rejected_count
    return [(r.email, r.reason) for r in answer.rejected_recipients]


def stamp(at: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(at)
    return value


async def test_a_send_leaves_out_whom_the_domain_suppresses_and_says_so(
    api: RunningApi, stub: SuppressionsStub
) -> None:
    assert await send(api, "bob@example.net") == []
    assert await add(stub, "Bob@Example.net", "x@bücher.example") == 2
    rejected = await send(
        api, "ann@example.net", "BOB@example.net", "BOB@example.net", "X@xn--bcher-kva.example", "bob+a@example.net"
    )
    assert rejected == [
        ("BOB@example.net", "suppressed"),
        ("BOB@example.net", "duplicate"),
        ("X@xn--bcher-kva.example", "suppressed"),
    ]
    # Other reasons come first; all rejected is still an answer.
    assert await send(api, "bob@example.net", subject="{{ email }}\x01") == [("bob@example.net", "suppressed")]
    above = a_send(recipients=[Recipient(email="bob@example.net", tracking=policy(5, 5))])
    answer = await api.mailer.SendHTML(above, metadata=await api.create_key(DOMAIN))
    assert [r.reason for r in answer.rejected_recipients] == ["tracking_above_ceiling"]


async def test_other_domains_write_to_whom_they_like(api: RunningApi, stub: SuppressionsStub) -> None:
    await api.create_domain("other.example")
    request = pb.AddSuppressionsRequest(domain="other.example", suppressions=[pb.Suppression(email="bob@example.net")])
    await stub.AddSuppressions(request, metadata=ADMIN)
    assert await send(api, "bob@example.net") == []


async def test_switched_off_for_a_domain_or_for_all(api: RunningApi, stub: SuppressionsStub, db: Database) -> None:
    await add(stub, "bob@example.net")
    asked = pb.GetSuppressionPolicyRequest(domain=DOMAIN)
    assert (await stub.GetSuppressionPolicy(asked, metadata=ADMIN)).enabled
    off = pb.SetSuppressionPolicyRequest(domain=DOMAIN, enabled=False)
    assert not (await stub.SetSuppressionPolicy(off, metadata=ADMIN)).enabled
    assert not (await stub.GetSuppressionPolicy(asked, metadata=ADMIN)).enabled
    assert await send(api, "bob@example.net") == []
    await stub.SetSuppressionPolicy(pb.SetSuppressionPolicyRequest(domain=DOMAIN, enabled=True), metadata=ADMIN)
    assert await send(api, "bob@example.net") == [("bob@example.net", "suppressed")]
    async with running_api(db, suppression=False) as without:
        assert await send(without, "bob@example.net") == []


async def test_thousands_of_recipients_and_odd_ones(api: RunningApi, stub: SuppressionsStub) -> None:
    await add(stub, *[f"u{n}@example.net" for n in range(0, 900, 3)])
    odd = ["no address", "nul\x00@example.net", "x" * 400 + "@example.net", " "]
    rejected = await send(api, *[f"U{n}@example.net" for n in range(900)], *odd)
    assert [r for r in rejected if r[1] == "suppressed"] == [
        (f"U{n}@example.net", "suppressed") for n in range(0, 900, 3)
    ]
    assert [reason for _, reason in rejected[300:]] == ["invalid_email"] * 3


async def test_list_show_add_remove(api: RunningApi, stub: SuppressionsStub) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    assert await add(stub, "bob@example.net", note="asked by phone") == 1
    assert await add(stub, "ann@example.net", expires_at=stamp(until), cause="complained") == 1
    assert await add(stub, "old@example.net", expires_at=stamp(until - timedelta(days=9))) == 0
    listed = await stub.ListSuppressions(pb.ListSuppressionsRequest(domain=DOMAIN, take=10), metadata=ADMIN)
    assert [(s.email, s.cause, s.note) for s in listed.suppressions] == [
        ("ann@example.net", "complained", ""),
        ("bob@example.net", "manual", "asked by phone"),
    ]
    assert listed.total == 2
    assert listed.suppressions[0].expires_at.ToDatetime(UTC) == until
    assert not listed.suppressions[1].HasField("expires_at")
    only = pb.ListSuppressionsRequest(domain=DOMAIN, take=10, cause="manual")
    assert [s.email for s in (await stub.ListSuppressions(only, metadata=ADMIN)).suppressions] == ["bob@example.net"]
    behind = pb.ListSuppressionsRequest(domain=DOMAIN, take=10, after="ANN@example.net")
    assert [s.email for s in (await stub.ListSuppressions(behind, metadata=ADMIN)).suppressions] == ["bob@example.net"]

    ask = pb.GetSuppressionRequest(domain=DOMAIN, email="BOB@example.net")
    found = (await stub.GetSuppression(ask, metadata=ADMIN)).suppression
    assert (found.email, found.cause) == ("bob@example.net", "manual")
    remove = pb.RemoveSuppressionsRequest(domain=DOMAIN, emails=["BOB@example.net", "nobody@example.net"])
    assert list((await stub.RemoveSuppressions(remove, metadata=ADMIN)).removed) == ["bob@example.net"]
    status, text = await refusal(stub.GetSuppression(ask, metadata=ADMIN))
    assert (status, text) == (Status.NOT_FOUND, 'email: "BOB@example.net" is not suppressed')
    assert await send(api, "bob@example.net") == []


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (pb.Suppression(), "suppressions[1].email"),
        (pb.Suppression(email="nobody"), "suppressions[1].email"),
        (pb.Suppression(email="a@b\n"), "suppressions[1].email"),
        (pb.Suppression(email="a@" + "b" * 400), "suppressions[1].email"),
        (pb.Suppression(email="a@b", note="\x00"), "suppressions[1].note"),
        (pb.Suppression(email="a@b", note="x" * 501), "suppressions[1].note"),
        (pb.Suppression(email="a@b", cause="whim"), "suppressions[1].cause"),
        (pb.Suppression(email="a@b", since=Timestamp(nanos=-1)), "suppressions[1].since"),
        (pb.Suppression(email="a@b", expires_at=Timestamp(seconds=1 << 60)), "suppressions[1].expires_at"),
    ],
)
async def test_an_entry_that_will_not_do_is_named_and_none_is_added(
    stub: SuppressionsStub, entry: pb.Suppression, field: str
) -> None:
    request = pb.AddSuppressionsRequest(domain=DOMAIN, suppressions=[pb.Suppression(email="good@example.net"), entry])
    status, text = await refusal(stub.AddSuppressions(request, metadata=ADMIN))
    assert (status, text.split(":")[0]) == (Status.INVALID_ARGUMENT, field)
    listed = await stub.ListSuppressions(pb.ListSuppressionsRequest(domain=DOMAIN, take=10), metadata=ADMIN)
    assert listed.total == 0


async def test_what_else_is_refused(stub: SuppressionsStub) -> None:
    many = pb.AddSuppressionsRequest(domain=DOMAIN, suppressions=[pb.Suppression()] * (MAX_ENTRIES + 1))
    assert (await refusal(stub.AddSuppressions(many, metadata=ADMIN)))[0] is Status.RESOURCE_EXHAUSTED
    wrong = pb.ListSuppressionsRequest(domain=DOMAIN, cause="whim")
    assert (await refusal(stub.ListSuppressions(wrong, metadata=ADMIN)))[0] is Status.INVALID_ARGUMENT
    nul = pb.ListSuppressionsRequest(domain=DOMAIN, after="\x00")
    assert (await refusal(stub.ListSuppressions(nul, metadata=ADMIN)))[0] is Status.INVALID_ARGUMENT
    for call in (
        stub.ListSuppressions(pb.ListSuppressionsRequest(domain="no.example"), metadata=ADMIN),
        stub.GetSuppression(pb.GetSuppressionRequest(domain="no.example", email="a@b"), metadata=ADMIN),
        stub.AddSuppressions(pb.AddSuppressionsRequest(domain="no.example"), metadata=ADMIN),
        stub.RemoveSuppressions(pb.RemoveSuppressionsRequest(domain="no.example"), metadata=ADMIN),
        stub.GetSuppressionPolicy(pb.GetSuppressionPolicyRequest(domain="no.example"), metadata=ADMIN),
        stub.SetSuppressionPolicy(pb.SetSuppressionPolicyRequest(domain="no.example"), metadata=ADMIN),
    ):
        assert await refusal(call) == (Status.NOT_FOUND, 'domain: no domain "no.example"')
    status, _ = await refusal(stub.ListSuppressions(pb.ListSuppressionsRequest(domain=DOMAIN), metadata={}))
    assert status is Status.UNAUTHENTICATED
