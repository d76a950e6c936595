"""The audit log: an entry for every change, by whatever way it came in, and who may look at it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grpclib.const import Status

from kannon.components.api.changes import CHANGES, READS, describe
from kannon.components.api.retention import Retention
from kannon.db import audit
from kannon.db.pool import Database
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.v1 import audit_pb2 as pb
from kannon.pb.admin.v1 import keys_pb2, suppressions_pb2
from kannon.pb.admin.v1.audit_grpc import AuditStub
from kannon.pb.admin.v1.keys_grpc import KeysStub
from kannon.pb.admin.v1.suppressions_grpc import SuppressionsStub
from kannon.pb.mailer.v1 import mailer_pb2
from tests.support.api import ADMIN, TOKEN, VIEWER_TOKEN, RunningApi, refusal, running_api
from tests.support.command import Command
from tests.support.services import SERVICES

SENDS = {"Mailer.Send", "Mailer.SendRaw", "Mailer.SendHTML", "Mailer.SendTemplate"}


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        yield api


async def entries(api: RunningApi, **which: object) -> list[pb.AuditEntry]:
    response = await AuditStub(api.channel).ListAudit(pb.ListAuditRequest(**which), metadata=ADMIN)  # type: ignore[arg-type]
    return list(response.entries)


def test_each_method_is_a_change_a_read_or_a_send() -> None:
    methods = {f"{service.name}.{method.name}" for service in SERVICES for method in service.methods}
    assert methods - CHANGES - READS == SENDS
    assert methods >= CHANGES | READS
    assert not CHANGES & READS


async def test_a_change_is_an_entry_with_who_what_and_to_what(api: RunningApi) -> None:
    await api.create_domain("example.com")
    metadata = ADMIN | {"x-kannon-attribution": "Ann"}
    request = keys_pb2.CreateKeyRequest(domain="example.com", name="shop", scopes=["send", "read"])
    key = (await KeysStub(api.channel).CreateKey(request, metadata=metadata)).key
    newest, first = await entries(api)
    assert (first.action, first.domain, first.subject) == ("Api.CreateDomain", "example.com", "")
    assert (newest.actor, newest.attribution, newest.peer) == ("admin token", "Ann", "127.0.0.1")
    assert (newest.way, newest.action, newest.domain, newest.done) == ("api", "Keys.CreateKey", "example.com", True)
    assert newest.subject == f"name=shop scopes=send, read key.id={key.id}"
    assert datetime.now(UTC) - newest.at.ToDatetime(UTC) < timedelta(minutes=1)


async def test_the_change_of_an_api_key_bears_its_name(api: RunningApi) -> None:
    await api.create_domain("example.com")
    keys = KeysStub(api.channel)
    created = await keys.CreateKey(
        keys_pb2.CreateKeyRequest(domain="example.com", name="list", scopes=["suppressions", "send"]), metadata=ADMIN
    )
    bearer = {"authorization": f"Bearer {created.secret}"}
    one = suppressions_pb2.Suppression(email="bob@example.net")
    await SuppressionsStub(api.channel).AddSuppressions(
        suppressions_pb2.AddSuppressionsRequest(suppressions=[one]), metadata=bearer
    )
    newest = (await entries(api))[0]
    assert (newest.actor, newest.action) == (f"API key {created.key.id}", "Suppressions.AddSuppressions")
    assert (newest.domain, newest.subject) == ("example.com", "suppressions=bob@example.net")


async def test_a_refused_change_is_no_entry(api: RunningApi) -> None:
    await api.create_domain("example.com")
    await refusal(api.admin.CreateDomain(admin.CreateDomainRequest(domain="example.com"), metadata=ADMIN))
    await refusal(api.admin.CreateDomain(admin.CreateDomainRequest(domain="not a domain"), metadata=ADMIN))
    await refusal(api.admin.CreateDomain(admin.CreateDomainRequest(domain="b.example"), metadata={}))
    assert len(await entries(api)) == 1


async def test_reads_and_sends_are_no_entries(api: RunningApi) -> None:
    await api.create_domain("example.com")
    await api.admin.GetDomains(admin.GetDomainsReq(), metadata=ADMIN)
    assert len(await entries(api)) == 1


async def test_a_change_whose_end_is_not_known_says_so(db: Database, api: RunningApi) -> None:
    from kannon.mail.audit import Change

    await audit.insert_entry(db, Change("api", "admin token", "", "127.0.0.1", "Api.CreateDomain", "", "domain=x"))
    assert [entry.done for entry in await entries(api)] == [False]


async def test_pages_and_filters(api: RunningApi) -> None:
    for number in range(5):
        await api.create_domain(f"d{number}.example")
    page = await entries(api, take=2)
    assert [entry.domain for entry in page] == ["d4.example", "d3.example"]
    assert [e.domain for e in await entries(api, take=2, before=page[-1].id)] == ["d2.example", "d1.example"]
    assert [e.domain for e in await entries(api, domain="d2.example")] == ["d2.example"]
    assert await entries(api, action="Operations.Pause") == []


async def test_no_key_may_read_it_and_the_viewer_token_may(api: RunningApi) -> None:
    await api.create_domain("example.com")
    key = await api.create_key("example.com")
    stub = AuditStub(api.channel)
    assert (await refusal(stub.ListAudit(pb.ListAuditRequest(), metadata=key)))[0] is Status.UNAUTHENTICATED
    viewer = {"authorization": f"Bearer {VIEWER_TOKEN}"}
    assert len((await stub.ListAudit(pb.ListAuditRequest(), metadata=viewer)).entries) == 2
    status, text = await refusal(stub.ListAudit(pb.ListAuditRequest(before=2**64 - 1), metadata=ADMIN))
    assert (status, text) == (Status.INVALID_ARGUMENT, "before: is not the id of an entry")


async def test_entries_stay_for_a_year(db: Database, api: RunningApi) -> None:
    await api.create_domain("old.example")
    await api.create_domain("new.example")
    async with db.acquire() as connection:
        await connection.execute("UPDATE audit SET at = now() - interval '366 days' WHERE domain = 'old.example'")
    await Retention(db, timedelta(days=1)).delete_expired(datetime.now(UTC))
    assert [entry.domain for entry in await entries(api)] == ["new.example"]


async def test_the_command_lists_them(api: RunningApi, tmp_path: Path) -> None:
    await api.create_domain("example.com")
    kannon = Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})
    done = await kannon("audit", "--domain", "example.com")
    assert done.code == 0
    assert "Api.CreateDomain" in done.out
    assert "example.com" in done.out


def test_long_values_are_not_copied() -> None:
    text = describe(admin.UpdateTemplateReq(template_id="t@example.com", html="x" * 5000, title="A\nB"))
    assert text == "template_id=t@example.com html=(5000 characters) title=A B"
    many = suppressions_pb2.RemoveSuppressionsRequest(domain="a.example", emails=[f"{n}@b.example" for n in range(9)])
    assert describe(many) == "emails=0@b.example, 1@b.example, 2@b.example and 6 more"
    assert describe(mailer_pb2.RescheduleRequest(message_id="m")) == "message_id=m"
