"""The api forgets what it no longer needs, and starts with it."""

from datetime import UTC, datetime, timedelta

import anyio

from kannon.components.api.retention import Retention
from kannon.db.pool import Database
from tests.support.api import a_send, running_api
from tests.support.patience import patience
from tests.support.pool import states

YEAR = timedelta(days=365)


async def count(db: Database, table: str) -> int:
    async with db.acquire() as connection:
        number: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
    return number


async def test_a_batch_is_kept_while_it_waits_and_as_long_as_statistics_are(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        await api.mailer.SendHTML(a_send(), metadata=await api.create_key("example.com"))
    house, now = Retention(db, YEAR), datetime.now(UTC)
    await house.delete_expired(now + 2 * YEAR)
    assert (await count(db, "messages"), len(await states(db))) == (1, 1)
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails")
    await house.delete_expired(now + YEAR - timedelta(minutes=1))
    assert await count(db, "templates") == 1
    await house.delete_expired(now + YEAR + timedelta(minutes=1))
    assert (await count(db, "messages"), await count(db, "templates")) == (0, 0)


async def test_answers_of_idempotency_keys_are_dropped_after_their_day(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        key = await api.create_key("example.com")
        for name in ("old", "new"):
            await api.mailer.SendHTML(a_send(), metadata=key | {"idempotency-key": name})
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'old'"
        )
    async with running_api(db):
        with patience():
            while await count(db, "idempotency_keys") > 1:
                await anyio.sleep(0.005)
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT key FROM idempotency_keys") == "new"
