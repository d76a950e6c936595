"""Events from elsewhere than the statistics: a finished batch, a paused one, broken records; and the cleaning."""

from collections.abc import Sequence

import anyio

from kannon.bus.bus import Bus
from kannon.components.webhooks.jobs import RecordCheckJob
from kannon.db import webhook_jobs
from kannon.db.pauses import end_pause, finish_pauses, insert_pause
from kannon.db.pool import Database
from kannon.db.webhook_outbox import clean_outbox
from kannon.errors import Unavailable
from kannon.mail.dns.records import Kind, ServerNames
from kannon.mail.event import EventType
from kannon.mail.pauses import Scope
from kannon.mail.webhook import WebhookType
from tests.support.endpoint import endpoint
from tests.support.pool import insert_batch
from tests.support.webhooks import DOMAIN, add_endpoint, event, make, running, store, waiting

SERVERS = ServerNames("mx.example.net", "mx.example.net")
URL = "https://app.example.com/"


async def queued(db: Database) -> list[tuple[str, str]]:
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT type, event_id FROM webhook_outbox ORDER BY id")
    return [(row["type"], row["event_id"]) for row in rows]


async def settle(db: Database, ids: Sequence[int]) -> None:
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails WHERE id = ANY($1::bigint[])", list(ids))
        await connection.execute("UPDATE webhook_batches SET check_at = now()")


async def test_a_batch_is_finished_once_with_its_counts(db: Database, bus: Bus) -> None:
    ids = await insert_batch(db, [f"a{n}@example.org" for n in range(5)])
    async with endpoint() as at:
        await add_endpoint(db, at.url, types=[WebhookType.BATCH_FINISHED])
        async with running(make(db, bus)):
            await store(db, [event(n, EventType.ACCEPTED) for n in ids[:4]] + [event(ids[4], EventType.REJECTED)])
            await store(db, [event(ids[0]), event(ids[1]), event(ids[2], EventType.BOUNCED)])
            # A report after the delivery, and opens, change no outcome.
            await store(db, [event(ids[1], EventType.OPENED)])
            await settle(db, [*ids[:3], ids[4]])
            await anyio.sleep(0.1)
            assert at.requests == []
            await store(db, [event(ids[3], EventType.FAILED)])
            await settle(db, ids)
            await at.wait(1)
            await store(db, [event(ids[3], EventType.CLICKED), event(99, EventType.ACCEPTED)])
            await settle(db, ids)
    assert [r.events[0] for r in at.requests] == [at.requests[0].events[0]]
    assert at.requests[0].events[0]["id"] == "msg_1@example.com.finished"
    data = at.requests[0].events[0]["data"]
    assert data == {
        "domain": DOMAIN,
        "message_id": "msg_1@example.com",
        "delivered": 2,
        "bounced": 1,
        "failed": 1,
        "rejected": 1,
    }
    assert await webhook_jobs.queue_finished_batches(db) == 0


async def test_two_processes_finish_a_batch_once(db: Database) -> None:
    ids = await insert_batch(db, ["a@example.org"])
    await add_endpoint(db, URL, types=[WebhookType.BATCH_FINISHED])
    await store(db, [event(ids[0], EventType.ACCEPTED), event(ids[0])])
    await settle(db, ids)
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(webhook_jobs.queue_finished_batches, db)
    assert await queued(db) == [("batch.finished", "msg_1@example.com.finished")]


async def test_batches_of_domains_that_do_not_ask_are_not_watched(db: Database) -> None:
    ids = await insert_batch(db, ["a@example.org"])
    await add_endpoint(db, URL, types=[WebhookType.DELIVERED])
    await store(db, [event(ids[0], EventType.ACCEPTED)])
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM webhook_batches") == 0


async def test_a_pause_of_a_batch_is_an_event_each_time(db: Database) -> None:
    await insert_batch(db, ["a@example.org"])
    await add_endpoint(db, URL, types=[WebhookType.BATCH_PAUSED])
    for _ in range(2):
        await insert_pause(db, Scope.BATCH, "msg_1@example.com")
    await insert_pause(db, Scope.DOMAIN, DOMAIN)
    assert [kind for kind, _ in await queued(db)] == ["batch.paused"]
    await end_pause(db, Scope.BATCH, "msg_1@example.com")
    await finish_pauses(db)
    await insert_pause(db, Scope.BATCH, "msg_1@example.com")
    ids = [event_id for _, event_id in await queued(db)]
    assert len(set(ids)) == len(ids) == 2


class Zone:
    def __init__(self) -> None:
        self.spf = ["v=spf1 a:mx.example.net ~all"]
        self.away = False
        self.asked = 0

    async def __call__(self, name: str, kind: Kind) -> list[str]:
        self.asked += 1
        if self.away:
            raise Unavailable("DNS: no answer")
        match kind:
            case Kind.TXT:
                return ["v=DMARC1; p=none"] if name.startswith("_dmarc") else self.spf
            case Kind.MX:
                return ["10 mx.example.net."]
            case Kind.PTR:
                return ["mx.example.net."]
        return ["192.0.2.1"]


async def due(db: Database) -> None:
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO record_checks (domain) VALUES ($1) ON CONFLICT (domain) DO UPDATE SET check_at = now()", DOMAIN
        )


async def test_records_that_break_are_an_event_once(db: Database) -> None:
    await add_endpoint(db, URL, types=[WebhookType.RECORDS_BROKEN])
    zone, told = Zone(), []
    job = RecordCheckJob(db, zone, SERVERS, lambda: told.append(1))
    await job()
    assert zone.asked == 0  # a new domain is checked after some minutes
    for spf, events in ((zone.spf, 0), ([], 1), ([], 1), (zone.spf, 1), (["v=spf1 -all"], 2)):
        zone.spf = spf
        await due(db)
        async with anyio.create_task_group() as group:  # of all processes one checks
            group.start_soon(job)
            group.start_soon(RecordCheckJob(db, zone, SERVERS, lambda: told.append(1)))
        assert len(await queued(db)) == len(told) == events, spf
    zone.away = True
    await due(db)
    await job()
    assert len(await queued(db)) == 2
    async with db.acquire() as connection:
        row = await connection.fetchrow("SELECT broken, check_at - now() AS wait FROM record_checks")
    assert row is not None
    assert row["broken"] == [f"SPF {DOMAIN}"]
    assert row["wait"] <= webhook_jobs.CHECK_AGAIN


async def test_a_new_domain_is_checked_in_silence_until_its_records_are_there_or_should_be(db: Database) -> None:
    await add_endpoint(db, URL, types=[WebhookType.RECORDS_BROKEN])
    zone = Zone()
    job = RecordCheckJob(db, zone, SERVERS, lambda: None)

    async def check(spf: list[str]) -> tuple[int, list[str], bool]:
        """Events so far, the records that count as broken, and whether the next check is within an hour."""
        zone.spf = spf
        await due(db)
        await job()
        async with db.acquire() as connection:
            row = await connection.fetchrow("SELECT broken, check_at - now() AS wait FROM record_checks")
        assert row is not None
        return len(await queued(db)), row["broken"], row["wait"] <= webhook_jobs.CHECK_AGAIN

    spf = zone.spf
    await job()
    async with db.acquire() as connection:
        wait = await connection.fetchval("SELECT check_at - now() FROM record_checks")
    assert wait <= webhook_jobs.FIRST_CHECK
    assert await check([]) == (0, [], True)
    async with db.acquire() as connection:
        await connection.execute("UPDATE domains SET created_at = now() - $1::interval", webhook_jobs.NEW_FOR)
    assert await check([]) == (1, [f"SPF {DOMAIN}"], False)
    async with db.acquire() as connection:
        await connection.execute("UPDATE domains SET created_at = now()")
        await connection.execute("UPDATE record_checks SET checked_at = NULL, broken = '{}'")
    assert await check([]) == (1, [], True)
    assert await check(spf) == (1, [], False)
    assert await check([]) == (2, [f"SPF {DOMAIN}"], False)


async def test_what_no_endpoint_waits_for_is_deleted_and_counted(db: Database) -> None:
    await add_endpoint(db, URL)
    await add_endpoint(db, URL, name="2", domain="example.net")
    await store(db, [event(1), event(2, domain="example.net")])
    assert await clean_outbox(db) == {}
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM domains WHERE domain = 'example.net'")
        await connection.execute(
            "UPDATE webhook_endpoints SET enabled = false, disabled_at = now() - interval '31 days'"
        )
    assert await clean_outbox(db) == {"whe_1": 1}
    assert await waiting(db) == 0
