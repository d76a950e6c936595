"""Small sends that arrive at the same time share their statements and their commit; each keeps its own result."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import asyncpg
import pytest

from kannon.accept.limiter import SendLimiter
from kannon.accept.service import AcceptService
from kannon.accept.store import OwnStore, SharedStore
from kannon.db.batches import DeliveryRow, NewBatch, find_attachments, find_batches
from kannon.db.pool import Database, Permits, _no_reset
from kannon.db.queries import queries
from kannon.db.suppressions import insert_suppressions
from kannon.db.templates import StoredTemplate, delete_template, insert_template
from kannon.errors import InvalidArgument, NotFound
from kannon.mail.batch import Attachment, Batch, Content, Recipient
from kannon.mail.send_request import Limits, RejectReason, SendRequest, SendResult, Tenant
from kannon.mail.suppression import Cause, Suppression
from kannon.mail.tracking import IDENTIFIED
from kannon.wire.sends import SendResCodec
from tests.support.api import NoBus
from tests.support.pool import insert_domain
from tests.support.sends import send_request

DOMAIN, OTHER = "example.com", "other.example"
TENANT = Tenant(DOMAIN, IDENTIFIED, suppresses=True)
TEMPLATE = f"template_{'a' * 24}@{DOMAIN}"
CALLS = 50


@dataclass
class Running:
    service: AcceptService
    bus: NoBus
    statements: Counter[str] = field(default_factory=Counter)


@pytest.fixture
async def running(db: Database, postgres_url: str) -> AsyncIterator[Running]:
    """On a pool whose connections count their statements."""
    await insert_domain(db, DOMAIN)
    await insert_domain(db, OTHER)
    await insert_template(db, TEMPLATE, DOMAIN, title="", html="<p>{{ name }}</p>")
    statements: Counter[str] = Counter()

    names = {getattr(queries, name).sql: name for name in queries.available_queries}

    def count(record: Any) -> None:
        if record.query in names:  # not what asyncpg itself asks a new connection
            statements[names[record.query].removesuffix("_cursor")] += 1

    async def watch(connection: Any) -> None:
        connection.add_query_logger(count)

    pool = await asyncpg.create_pool(postgres_url, min_size=0, max_size=10, setup=watch, reset=_no_reset)
    own, bus = Database(pool, Permits(10)), NoBus()
    service = AcceptService(own, Limits(1 << 20, 1000), bus, SendResCodec(), SendLimiter())
    async with anyio.create_task_group() as group:
        group.start_soon(service.run)
        yield Running(service, bus, statements)
        group.cancel_scope.cancel()
    await own.close()


def single(number: int, **changes: Any) -> SendRequest:
    return send_request([Recipient(f"u{number}@example.net", {"n": str(number)})], subject=f"s{number}", **changes)


async def send_all(service: AcceptService, sends: Sequence[tuple[Tenant, SendRequest]]) -> list[SendResult | Exception]:
    outcomes: dict[int, SendResult | Exception] = {}

    async def send(number: int, tenant: Tenant, request: SendRequest) -> None:
        try:
            outcomes[number] = await service.accept(tenant, request)
        except (InvalidArgument, NotFound) as error:
            outcomes[number] = error

    async with anyio.create_task_group() as group:
        for number, (tenant, request) in enumerate(sends):
            group.start_soon(send, number, tenant, request)
    return [outcomes[number] for number in range(len(sends))]


async def value(db: Database, query: str) -> Any:
    async with db.acquire() as connection:
        return await connection.fetchval(query)


@pytest.mark.parametrize("template_id", [None, TEMPLATE], ids=["html", "template"])
async def test_concurrent_sends_need_few_statements_commits_and_notifications(
    running: Running, db: Database, template_id: str | None
) -> None:
    await running.service.accept(TENANT, single(CALLS, template_id=template_id))
    one_each = ["find_suppressed", "insert_batches"] + ["find_template_bytes"] * (template_id is not None)
    assert running.statements == Counter(one_each)
    running.statements.clear()
    running.bus.notifications = 0
    results = await send_all(running.service, [(TENANT, single(n, template_id=template_id)) for n in range(CALLS)])
    assert all(isinstance(result, SendResult) for result in results)
    assert sorted(running.statements) == sorted(one_each)
    assert max(running.statements.values()) <= CALLS / 5
    commits = await value(db, "SELECT count(DISTINCT xmin::text) FROM messages") - 1
    assert commits <= CALLS / 5
    assert running.bus.notifications == commits
    assert await value(db, "SELECT count(*) FROM sending_pool_emails") == CALLS + 1


async def test_each_send_of_a_group_is_stored_as_it_was(running: Running, db: Database) -> None:
    """With attachments, headers and recipients in unequal numbers, and of two tenants."""
    sends = []
    for number in range(20):
        tenant = Tenant((DOMAIN, OTHER)[number % 2], IDENTIFIED)
        request = send_request(
            [Recipient(f"u{number}-{n}@example.net", {"n": str(n)}) for n in range(number % 4)] + [Recipient("")],
            sender_email=f"a@{tenant.domain}",
            subject=f"s{number}",
            html=f"<p>{number}</p>",
            header_to=tuple(f"t{n}@example.com" for n in range(number % 3)),
            header_cc=tuple(f'"c, {n}" <c{n}@example.com>' for n in range(number % 2)),
            global_fields={str(n): "ü" for n in range(number % 3)},
            unsubscribe_url="https://example.com/" if number % 3 else None,
            attachments=tuple(Attachment(f"f{n}", bytes([n]), "text/plain", f"id{n}") for n in range(number % 3)),
        )
        sends.append((tenant, request))
    results = await send_all(running.service, sends)
    for number, ((tenant, request), result) in enumerate(zip(sends, results, strict=True)):
        assert isinstance(result, SendResult)
        assert (result.accepted_count, len(result.rejected)) == (number % 4, 1)
        batch = (await find_batches(db, [result.message_id])).loaded[result.message_id].batch
        attachments = (await find_attachments(db, [result.message_id])).get(result.message_id, ())
        assert (replace(batch.content, attachments=attachments), batch.domain, batch.scheduled_at) == (
            request.content,
            tenant.domain,
            result.scheduled_at,
        )
        async with db.acquire() as connection:
            rows = await connection.fetch(
                "SELECT p.email, p.domain, p.due_at, m.accepted_count, m.rejected_count FROM messages m "
                "JOIN sending_pool_emails p USING (message_id) WHERE message_id = $1 ORDER BY p.id",
                result.message_id,
            )
        assert [tuple(row) for row in rows] == [
            (f"u{number}-{n}@example.net", tenant.domain, result.scheduled_at, number % 4, 1) for n in range(number % 4)
        ]


async def test_bad_sends_fail_alone_and_suppressed_addresses_stay_with_their_domain(
    running: Running, db: Database
) -> None:
    entry = Suppression(OTHER, "u1@example.net", Cause.MANUAL, (await now(db)))
    await insert_suppressions(db, OTHER, [entry])
    other = Tenant(OTHER, IDENTIFIED, suppresses=True)
    results = await send_all(
        running.service,
        [
            (TENANT, single(1)),
            (TENANT, single(2, template_id=TEMPLATE)),
            (TENANT, single(3, template_id="template_none")),
            (TENANT, single(4, sender_alias="\n")),
            (other, single(1, sender_email=f"a@{OTHER}")),
            (other, single(2, sender_email=f"a@{OTHER}", template_id=TEMPLATE)),
            (other, single(3, sender_email=f"a@{OTHER}")),
        ],
    )
    assert [type(result) for result in results] == [
        SendResult, SendResult, NotFound, InvalidArgument, SendResult, NotFound, SendResult
    ]  # fmt: skip
    counts = [result.accepted_count for result in results if isinstance(result, SendResult)]
    assert counts == [1, 1, 0, 1]
    assert isinstance(results[4], SendResult)
    assert [each.reason for each in results[4].rejected] == [RejectReason.SUPPRESSED]
    assert await value(db, "SELECT count(*) FROM messages") == 4


async def test_a_template_that_is_deleted_meanwhile_fails_its_own_send_only(db: Database) -> None:
    """Deleted after the look-up: the foreign key finds out."""
    await insert_domain(db, DOMAIN)
    await insert_template(db, TEMPLATE, DOMAIN, title="", html="x")
    reported: list[SendResult] = []

    async def report(results: Sequence[SendResult]) -> None:
        reported.extend(results)

    store = SharedStore(db, report)
    outcomes: dict[int, str] = {}

    async def insert(number: int) -> None:
        try:
            outcomes[number] = (await store.insert(new_batch(number, new_template=number != 5), 0)).message_id
        except NotFound as error:
            outcomes[number] = str(error)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(insert, number)
        await anyio.wait_all_tasks_blocked()
        await delete_template(db, TEMPLATE)
        runs = anyio.CancelScope()

        async def run() -> None:
            with runs:
                async with anyio.create_task_group() as parts:
                    for part in store.parts:
                        parts.start_soon(part.run)

        group.start_soon(run)
        with anyio.fail_after(30):
            while len(outcomes) < 10:
                await anyio.sleep(0.01)
        runs.cancel()
    assert outcomes.pop(5) == f'template_id: no template "{TEMPLATE}"'
    assert outcomes == {number: f"msg_{number}@{DOMAIN}" for number in range(10) if number != 5}
    assert sorted(result.message_id for result in reported) == sorted(outcomes.values())


async def test_a_send_of_its_own_finds_the_same_answers(db: Database) -> None:
    """OwnStore and SharedStore are one interface."""
    await insert_domain(db, DOMAIN)
    await insert_template(db, TEMPLATE, DOMAIN, title="", html="four")
    await insert_suppressions(db, DOMAIN, [Suppression(DOMAIN, "b@x.org", Cause.MANUAL, await now(db))])

    async def report(results: Sequence[SendResult]) -> None:
        pass

    shared = SharedStore(db, report)
    async with anyio.create_task_group() as group, db.acquire() as connection:
        for part in shared.parts:
            group.start_soon(part.run)
        for store in (OwnStore(connection), shared):
            assert await store.template(TEMPLATE, DOMAIN) == StoredTemplate(4, 1, None)
            assert await store.template(TEMPLATE, OTHER) is None
            assert await store.suppressed(DOMAIN, "", ["a@x.org", "b@x.org"]) == {"b@x.org"}
            assert await store.suppressed(OTHER, "x", ["a@x.org", "b@x.org"]) == set()
        group.cancel_scope.cancel()


async def now(db: Database) -> Any:
    return await value(db, "SELECT now()")


def new_batch(number: int, *, new_template: bool) -> NewBatch:
    template_id = f"template_{number}@{DOMAIN}" if new_template else TEMPLATE
    content = Content(sender_email=f"a@{DOMAIN}", subject="s", html="x")
    batch = Batch(message_id=f"msg_{number}@{DOMAIN}", domain=DOMAIN, template_id=template_id, content=content)
    return NewBatch(batch, [DeliveryRow("a@x.org", "{}", 1, 1)], [], new_template=new_template)
