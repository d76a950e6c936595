"""Idempotency keys: one send per key, for any number of repeats at any time from any number of clients."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from grpclib.const import Status
from structlog.testing import capture_logs

from kannon.db.idempotency import delete_expired, store_answer
from kannon.db.pool import Database, open_database
from kannon.errors import Conflict
from kannon.mail.send_request import Limits
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from tests.support.api import ADMIN, RunningApi, a_send, refusal, running_api
from tests.support.cipher import make_cipher


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db, limits=Limits(1 << 20, 10_000)) as api:
        await api.create_domain("example.com")
        yield api


async def count(db: Database, table: str) -> int:
    async with db.acquire() as connection:
        number: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
    return number


async def test_a_repeat_gets_the_first_answer_and_sends_nothing(api: RunningApi, db: Database) -> None:
    key = await api.create_key("example.com") | {"idempotency-key": "order 7"}
    request = a_send(recipients=[Recipient(email="a@b.de"), Recipient(email="")])
    first = await api.mailer.SendHTML(request, metadata=key)
    assert await api.mailer.SendHTML(request, metadata=key) == first
    assert (first.accepted_count, first.rejected_count) == (1, 1)
    assert (await count(db, "messages"), await count(db, "templates")) == (1, 1)
    assert await count(db, "sending_pool_emails") == 1


async def test_a_send_whose_transaction_is_repeated_is_counted_once(
    api: RunningApi, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [Conflict("PostgreSQL: deadlock detected")]

    async def fail_once(*args: Any) -> None:
        if failures:
            raise failures.pop()
        await store_answer(*args)

    monkeypatch.setattr("kannon.accept.idempotency.store_answer", fail_once)
    key = await api.create_key("example.com") | {"idempotency-key": "k"}
    with capture_logs() as logs:
        await api.mailer.SendHTML(a_send(), metadata=key)
        answer = await api.mailer.SendHTML(a_send(), metadata=key)
    assert [each["batch"] for each in logs if each["event"] == "batch accepted"] == [answer.message_id]
    assert failures == []


async def test_the_order_of_map_entries_does_not_matter(api: RunningApi, db: Database) -> None:
    key = await api.create_key("example.com") | {"idempotency-key": "k"}
    names = [f"name{i}" for i in range(30)]
    forth = a_send(global_fields=dict.fromkeys(names, "x"))
    back = a_send(global_fields=dict.fromkeys(reversed(names), "x"))
    assert await api.mailer.SendHTML(forth, metadata=key) == await api.mailer.SendHTML(back, metadata=key)
    assert await count(db, "messages") == 1


async def test_a_different_request_with_the_same_key_is_refused(api: RunningApi, db: Database) -> None:
    key = await api.create_key("example.com") | {"idempotency-key": "k"}
    first = await api.mailer.SendHTML(a_send(), metadata=key)
    changed: list[tuple[Any, Any]] = [
        (api.mailer.SendHTML, a_send(subject="Other")),
        (api.mailer.SendHTML, a_send(recipients=[])),
        (api.mailer.SendTemplate, SendTemplateReq(template_id=first.template_id)),
        (api.mailer.SendTemplate, SendTemplateReq.FromString(a_send().SerializeToString())),
    ]
    for method, request in changed:
        status, text = await refusal(method(request, metadata=key))
        assert (status, text.split(":")[0]) == (Status.ALREADY_EXISTS, "idempotency-key")
    assert await count(db, "messages") == 1


async def test_two_domains_may_use_the_same_key(api: RunningApi, db: Database) -> None:
    await api.create_domain("mail.example.com")
    answers = [
        await api.mailer.SendHTML(a_send(), metadata=await api.create_key(domain) | {"idempotency-key": "k"})
        for domain in ("example.com", "mail.example.com")
    ]
    assert answers[0].message_id != answers[1].message_id
    assert await count(db, "messages") == 2


async def test_a_refused_send_leaves_the_key_free(api: RunningApi, db: Database) -> None:
    key = await api.create_key("example.com") | {"idempotency-key": "k"}
    status, _ = await refusal(api.mailer.SendHTML(a_send(subject=""), metadata=key))
    assert status is Status.INVALID_ARGUMENT
    assert await count(db, "idempotency_keys") == 0
    assert await refusal(api.mailer.SendHTML(a_send(), metadata=key)) == (Status.OK, "")


async def test_a_repeat_gets_the_first_answer_after_the_template_is_deleted(api: RunningApi, db: Database) -> None:
    key = await api.create_key("example.com")
    template = (await api.mailer.SendHTML(a_send(recipients=[]), metadata=key)).template_id
    request = SendTemplateReq.FromString(a_send(html="").SerializeToString())
    request.template_id = template
    once = key | {"idempotency-key": "k"}
    first = await api.mailer.SendTemplate(request, metadata=once)
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails")
        await connection.execute("DELETE FROM templates")
    assert await api.mailer.SendTemplate(request, metadata=once) == first


async def test_repeats_at_the_same_time_wait_for_the_first(api: RunningApi, db: Database) -> None:
    """There are more repeats than database connections, and the first send is slow."""
    key = await api.create_key("example.com") | {"idempotency-key": "k"}
    request = a_send(recipients=[Recipient(email=f"u{i}@example.net") for i in range(3000)])
    assert await repeat(api, request, key, times=25) == 1
    assert await count(db, "sending_pool_emails") == 3000


async def test_repeats_to_two_processes_wait_for_the_first(api: RunningApi, db: Database, postgres_url: str) -> None:
    key = await api.create_key("example.com") | {"idempotency-key": "k"}
    request = a_send(recipients=[Recipient(email=f"u{i}@example.net") for i in range(3000)])
    second_db = await open_database(postgres_url, cipher=make_cipher())
    async with running_api(second_db, limits=Limits(1 << 20, 10_000)) as other:
        answers: list[SendRes] = []

        async def send(through: RunningApi) -> None:
            answers.append(await through.mailer.SendHTML(request, metadata=key))

        async with anyio.create_task_group() as group:
            for through in (api, other) * 5:
                group.start_soon(send, through)
    await second_db.close()
    assert len(answers) == 10
    assert len({answer.message_id for answer in answers}) == 1
    assert await count(db, "sending_pool_emails") == 3000


async def test_a_key_can_be_used_again_after_a_day(api: RunningApi, db: Database) -> None:
    key = await api.create_key("example.com") | {"idempotency-key": "k"}
    first = await api.mailer.SendHTML(a_send(), metadata=key)
    await age(db, "23 hours 59 minutes")
    assert await api.mailer.SendHTML(a_send(), metadata=key) == first
    await age(db, "24 hours")
    second = await api.mailer.SendHTML(a_send(subject="Another"), metadata=key)
    assert second.message_id != first.message_id
    assert await api.mailer.SendHTML(a_send(subject="Another"), metadata=key) == second


async def test_expired_answers_are_deleted(api: RunningApi, db: Database) -> None:
    owner = await api.create_key("example.com")
    await api.mailer.SendHTML(a_send(), metadata=owner | {"idempotency-key": "old"})
    await age(db, "25 hours")
    await api.mailer.SendHTML(a_send(), metadata=owner | {"idempotency-key": "new"})
    await delete_expired(db)
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT array_agg(key) FROM idempotency_keys") == ["new"]


async def test_a_key_has_at_most_255_characters(api: RunningApi) -> None:
    owner = await api.create_key("example.com")
    assert await refusal(api.mailer.SendHTML(a_send(), metadata=owner | {"idempotency-key": "x" * 255})) == (
        Status.OK,
        "",
    )
    status, text = await refusal(api.mailer.SendHTML(a_send(), metadata=owner | {"idempotency-key": "x" * 256}))
    assert (status, text) == (Status.INVALID_ARGUMENT, "idempotency-key: must not exceed 255 characters")


async def test_the_admin_token_with_an_idempotency_key_cannot_send(api: RunningApi) -> None:
    status, _ = await refusal(api.mailer.SendHTML(a_send(), metadata=ADMIN | {"idempotency-key": "k"}))
    assert status is Status.UNAUTHENTICATED


async def repeat(api: RunningApi, request: SendHTMLReq, key: dict[str, str], *, times: int) -> int:
    """Returns the number of different answers."""
    seen: set[str] = set()

    async def send() -> None:
        seen.add((await api.mailer.SendHTML(request, metadata=key)).message_id)

    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(send)
    return len(seen)


async def age(db: Database, by: str) -> None:
    async with db.acquire() as connection:
        await connection.execute(f"UPDATE idempotency_keys SET created_at = now() - interval '{by}'")
