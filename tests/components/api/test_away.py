"""PostgreSQL away, in each of the ways it can be: every call is UNAVAILABLE within three seconds, and the API stays.

The three seconds are what the database's time-outs come to; here it is checked that these, and no longer ones, hold.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from grpclib.const import Status
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from kannon.db.migrate import migrate
from kannon.db.pool import (
    COMMAND_SECONDS,
    CONNECT_SECONDS,
    FAST_HOLD_TIMEOUT_SECONDS,
    RELEASE_SECONDS,
    Database,
    open_database,
)
from kannon.db.schema import check_schema
from kannon.errors import Unavailable
from kannon.pb.admin.apiv1.adminapiv1_pb2 import (
    CreateAPIKeyRequest,
    CreateDomainRequest,
    GetDomainsReq,
    ListAPIKeysRequest,
)
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.admin.v1.operations_pb2 import GetBatchRequest, GetTimelineRequest
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendTemplateReq
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv1.statsapiv1_pb2 import GetStatsAggregatedReq, GetStatsReq
from tests.support.api import ADMIN, RunningApi, a_send, basic, refusal, running_api
from tests.support.cipher import make_cipher
from tests.support.patience import patience

WITHIN_SECONDS = 30.0  # far from the minute that a statement may take, and nothing that a busy machine reaches
SOME_KEY = basic("example.com", "k_x")


def calls(api: RunningApi, key: dict[str, str]) -> dict[str, Any]:
    """Each is one that PostgreSQL has to answer, also where the api remembers the key."""
    stats = StatsApiV1Stub(api.channel)
    template = SendTemplateReq.FromString(a_send(html="").SerializeToString())
    return {
        "CreateDomain": api.admin.CreateDomain(CreateDomainRequest(domain="new.org"), metadata=ADMIN),
        "GetDomains": api.admin.GetDomains(GetDomainsReq(), metadata=ADMIN),
        "CreateAPIKey": api.admin.CreateAPIKey(CreateAPIKeyRequest(domain="example.com", name="x"), metadata=ADMIN),
        "ListAPIKeys": api.admin.ListAPIKeys(ListAPIKeysRequest(domain="example.com"), metadata=ADMIN),
        "SendHTML": api.mailer.SendHTML(a_send(), metadata=key),
        "SendHTML once": api.mailer.SendHTML(a_send(), metadata=key | {"idempotency-key": "k"}),
        "SendTemplate": api.mailer.SendTemplate(template, metadata=key),
        "GetStats": stats.GetStats(GetStatsReq(domain="example.com"), metadata=ADMIN),
        "GetStatsAggregated": stats.GetStatsAggregated(GetStatsAggregatedReq(domain="example.com"), metadata=ADMIN),
    }


async def assert_all_unavailable(api: RunningApi, key: dict[str, str]) -> None:
    async def timed(call: Any) -> tuple[Status, str, bool]:
        start = time.monotonic()
        status, text = await refusal(call)
        return status, text, time.monotonic() - start < WITHIN_SECONDS

    pending = calls(api, key)
    answers = dict(zip(pending, await asyncio.gather(*map(timed, pending.values())), strict=True))
    expected = (Status.UNAVAILABLE, "a service this call needs is away; try again", True)
    assert answers == dict.fromkeys(pending, expected)
    response = await HealthStub(api.channel).Check(HealthCheckRequest())
    assert response.status == HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await open_database(url, cipher=make_cipher())
    try:
        yield database
    finally:
        await database.close()


def test_the_time_outs_come_to_three_seconds() -> None:
    assert CONNECT_SECONDS < 3.0
    assert FAST_HOLD_TIMEOUT_SECONDS + RELEASE_SECONDS < 3.0
    assert COMMAND_SECONDS > WITHIN_SECONDS


async def test_nobody_listens() -> None:
    async with opened("postgres://kannon@127.0.0.1:1/kannon") as db, running_api(db) as api:
        await assert_all_unavailable(api, SOME_KEY)


async def test_no_tables_yet(empty_postgres_url: str) -> None:
    async with opened(empty_postgres_url) as db, running_api(db) as api:
        await assert_all_unavailable(api, SOME_KEY)
        await migrate(empty_postgres_url)
        await check_schema(db)


async def test_somebody_listens_and_says_nothing() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, opened(f"postgres://kannon@127.0.0.1:{port}/kannon") as db, running_api(db) as api:
        await assert_all_unavailable(api, SOME_KEY)


async def test_a_database_without_a_schema(empty_postgres_url: str) -> None:
    async with opened(empty_postgres_url) as db, running_api(db) as api:
        pending = calls(api, SOME_KEY)
        statuses = {name: (await refusal(call))[0] for name, call in pending.items()}
    assert set(statuses.values()) == {Status.UNAVAILABLE}


async def test_connections_that_were_cut_are_made_anew(db: Database, postgres_url: str) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        async with opened(postgres_url) as other, other.acquire() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        statuses = [(await refusal(api.mailer.SendHTML(a_send(), metadata=key)))[0] for _ in range(12)]
    assert statuses[-1] is Status.OK
    assert set(statuses) <= {Status.OK, Status.UNAVAILABLE}


async def test_a_server_that_freezes_while_we_are_connected(db: Database) -> None:
    """Every backend of this database stops; they do not answer, not even to a request to cancel."""
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        await asyncio.gather(*(refusal(api.mailer.SendHTML(a_send(), metadata=key)) for _ in range(30)))
        async with db.acquire() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
        family = _family(_parent(backend))
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            await assert_all_unavailable(api, key)
        finally:
            for pid in family:
                os.kill(pid, signal.SIGCONT)
        assert (await refusal(api.mailer.SendHTML(a_send(), metadata=key)))[0] is Status.OK


async def test_a_database_that_stops_answering_in_the_middle_of_a_call(db: Database) -> None:
    """After the credentials were looked up: a table that is locked is a statement without an answer."""
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        sent = await api.mailer.SendHTML(a_send(), metadata=key)
        operations = OperationsStub(api.channel)
        timeline = GetTimelineRequest(message_id=sent.message_id, email="bob@example.net")
        pending = [
            api.mailer.SendHTML(a_send(), metadata=key),
            api.mailer.SendHTML(a_send(), metadata=key | {"idempotency-key": "k"}),
            operations.GetBatch(GetBatchRequest(message_id=sent.message_id), metadata=ADMIN),
            operations.GetTimeline(timeline, metadata=ADMIN),
        ]
        async with db.transaction() as connection:
            await connection.execute("LOCK TABLE sending_pool_emails")
            start = time.monotonic()
            answers = await asyncio.gather(*map(refusal, pending))
            seconds = time.monotonic() - start
        assert (await refusal(api.mailer.SendHTML(a_send(), metadata=key)))[0] is Status.OK
    unavailable = (Status.UNAVAILABLE, "a service this call needs is away; try again")
    assert set(answers) == {unavailable}
    assert seconds < WITHIN_SECONDS


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def _family(parent: int) -> list[int]:
    """The server and its children: ours, of this session's fixture."""
    children = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and _parent(int(entry.name)) == parent:
                children.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return [parent, *children]


async def test_a_pool_with_short_timeouts_fails_fast(db: Database) -> None:
    hasty = replace(db, hold_timeout=0.05)
    with pytest.raises(Unavailable):
        async with hasty.acquire() as connection:
            await connection.execute("SELECT pg_sleep(30)")
    # PostgreSQL ends the statement a moment later; an idle session still shows its last one.
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
    async with db.acquire() as connection:
        with patience():
            while await connection.fetchval(running):
                await anyio.sleep(0.01)
