"""Whatever a client sends to any method, it gets one of the promised statuses, and a text without internals; a refused
call has stored nothing."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpclib.client import UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from hypothesis import given
from hypothesis import strategies as st

from kannon.bus.bus import Bus
from kannon.db.pool import Database
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from tests.support.api import ADMIN, RunningApi, a_send, refusal, running_api
from tests.support.effort import examples
from tests.support.messages import messages
from tests.support.services import SERVICES

PROMISED = {
    Status.OK,
    Status.INVALID_ARGUMENT,
    Status.NOT_FOUND,
    Status.ALREADY_EXISTS,
    Status.PERMISSION_DENIED,
    Status.FAILED_PRECONDITION,
    Status.RESOURCE_EXHAUSTED,
}
INTERNALS = re.compile(r"select |insert |asyncpg|traceback|\.py|psql|constraint|relation", re.IGNORECASE)
METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]
# One server and one database for all examples of a test is what is wanted: what one left behind must not hurt the next.
MANY = examples(15)


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        await api.create_domain("example.com")
        yield api


@pytest.fixture
async def key(api: RunningApi) -> dict[str, str]:
    return await api.create_key("example.com")


async def contents(db: Database) -> object:
    """Changes when any row of any table does."""
    async with db.acquire() as connection:
        tables = [
            row["name"]
            for row in await connection.fetch(
                "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ]
        sums = (f"SELECT '{t}' AS name, count(*), sum(hashtext(t::text)) FROM {t} t" for t in sorted(tables))
        return await connection.fetch(" UNION ALL ".join(sums))


async def gets_a_promised_status(
    api: RunningApi, key: dict[str, str], db: Database, method: MethodDescriptor, request: Message
) -> None:
    before = await contents(db)
    kind = UnaryStreamMethod if method.server_streaming else UnaryUnaryMethod
    call: Any = kind(
        api.channel,
        f"/{method.containing_service.full_name}/{method.name}",
        type(request),
        GetMessageClass(method.output_type),
    )
    # A stream that is accepted lasts until its deadline.
    timeout = 0.1 if method.server_streaming else None
    try:
        status, text = await refusal(call(request, metadata=ADMIN | key, timeout=timeout))
    except TimeoutError:
        status, text = Status.OK, ""
    assert status in PROMISED or (timeout and status is Status.DEADLINE_EXCEEDED), text
    assert not INTERNALS.search(re.sub(r'"[^"]*"', "", text)), text
    if status is not Status.OK:
        assert await contents(db) == before


def property_of(method: MethodDescriptor) -> Callable[..., None]:
    """One test per method: a strategy drawn from within an async test would not end as hypothesis wants."""

    @MANY
    @given(request=messages(method.input_type))
    async def test(api: RunningApi, key: dict[str, str], db: Database, request: Message) -> None:
        await gets_a_promised_status(api, key, db, method, request)

    return test


for each in METHODS:
    globals()[f"test_any_request_to_{each.name}_gets_a_promised_status"] = property_of(each)


@MANY
@given(recipients=st.lists(messages(Recipient.DESCRIPTOR), max_size=8))
async def test_every_recipient_of_a_good_send_is_taken_or_named(
    api: RunningApi, key: dict[str, str], db: Database, recipients: list[Recipient]
) -> None:
    """The rest of the request is good, so the call succeeds; nobody is lost and nobody is there twice."""
    request = a_send(subject="For {{ who }}", recipients=recipients)
    answer = await api.mailer.SendHTML(request, metadata=key)
    rejected = [each.email for each in answer.rejected_recipients]
    async with db.acquire() as connection:
        taken = await connection.fetchval(
            "SELECT coalesce(array_agg(email ORDER BY id), '{}') FROM sending_pool_emails WHERE message_id = $1",
            answer.message_id,
        )
    assert answer.accepted_count == len(taken)
    assert answer.rejected_count == len(rejected)
    submitted = [each.email for each in request.recipients]
    assert len(submitted) == len(taken) + len(rejected)
    assert sorted(each.strip() for each in submitted) == sorted(each.strip() for each in [*taken, *rejected])
    assert len(set(taken)) == len(taken)
