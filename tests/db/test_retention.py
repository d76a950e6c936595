"""Batches and transient templates past their retention go; what anything still refers to stays."""

from datetime import UTC, datetime, timedelta

from kannon.db.pauses import insert_pause, list_pauses
from kannon.db.pool import Database
from kannon.db.retention import delete_old_batches, delete_old_templates
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from kannon.mail.pauses import Scope
from tests.support.pool import insert_batch

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)


async def age(db: Database, domain: str, days: int) -> None:
    async with db.acquire() as connection:
        for table in ("messages", "templates"):
            await connection.execute(
                f"UPDATE {table} SET created_at = now() - $2 * interval '1 day' WHERE domain = $1",
                domain,
                float(days),
            )


async def names(db: Database, table: str) -> list[str]:
    async with db.acquire() as connection:
        rows = await connection.fetch(f"SELECT DISTINCT domain FROM {table} ORDER BY 1")
    return [row["domain"] for row in rows]


async def finished(db: Database, domain: str, batches: int = 1) -> None:
    """Batches whose deliveries have all ended."""
    for n in range(batches):
        await insert_batch(db, ["a@x.org"], domain=domain, name=str(n))
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails WHERE domain = $1", domain)


async def test_old_batches_are_deleted_unless_they_are_needed(db: Database) -> None:
    await finished(db, "old.com")
    await finished(db, "young.com")
    await insert_batch(db, ["a@x.org"], domain="waiting.com")
    await finished(db, "told.com")
    await ensure_partitions(db, {week_of(NOW)})
    await insert_events(db, [Event("1", EventType.OPENED, "told.com", "msg_0@told.com", "a@x.org", NOW)])
    for domain in ("old.com", "waiting.com", "told.com"):
        await age(db, domain, 31)
    await insert_pause(db, Scope.BATCH, "msg_0@old.com")
    await insert_pause(db, Scope.BATCH, "msg_0@young.com")
    assert await delete_old_batches(db, NOW - MONTH) == 1
    assert await delete_old_templates(db, NOW - MONTH) == 1
    stay = ["told.com", "waiting.com", "young.com"]
    assert (await names(db, "messages"), await names(db, "templates")) == (stay, stay)
    assert [pause.subject for pause in await list_pauses(db)] == ["msg_0@young.com"]


async def test_all_pages_are_read_although_rows_stay(db: Database) -> None:
    await finished(db, "old.com", batches=520)
    await insert_batch(db, ["a@x.org"], domain="waiting.com")
    for domain in ("old.com", "waiting.com"):
        await age(db, domain, 31)
    await age(db, "waiting.com", 32)  # the first of the first page
    assert await delete_old_batches(db, NOW - MONTH) == 520
    assert await delete_old_templates(db, NOW - MONTH) == 520
    assert await names(db, "templates") == ["waiting.com"]


async def test_templates_of_their_owners_stay(db: Database) -> None:
    await finished(db, "old.com")
    async with db.acquire() as connection:
        await connection.execute("UPDATE templates SET type = 'template'")
    await age(db, "old.com", 400)
    assert await delete_old_batches(db, NOW - MONTH) == 1
    assert await delete_old_templates(db, NOW - MONTH) == 0
