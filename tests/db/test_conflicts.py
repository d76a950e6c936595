"""Transactions that PostgreSQL ends in favour of others are repeated; a wait for a connection is not an absence."""

import asyncio

import asyncpg
import pytest

from kannon.db.cancellations import Marked, cancel_batch
from kannon.db.conflicts import ATTEMPTS, repeat_on_conflict
from kannon.db.pool import Database, open_database
from kannon.errors import Conflict, Throttled
from tests.support.cipher import make_cipher
from tests.support.patience import patience
from tests.support.pool import insert_batch


async def test_the_victim_of_a_deadlock_is_repeated(db: Database, postgres_url: str) -> None:
    first, second = await insert_batch(db, ["a@example.org", "b@example.org"])
    other = await asyncpg.connect(postgres_url)
    watch = await asyncpg.connect(postgres_url)
    # The other one waits without looking for deadlocks, so that ours finds it; the time-out leaves room to set it up.
    await other.execute("SET deadlock_timeout = '1h'")
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '2s'")
    ours = await open_database(postgres_url, cipher=make_cipher())
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("UPDATE sending_pool_emails SET attempts = 7 WHERE id = $1", second)
        cancelling = asyncio.create_task(cancel_batch(ours, "msg_1@example.com"))
        with patience():
            while not await watch.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                pass
        with patience():
            await other.execute("UPDATE sending_pool_emails SET attempts = 7 WHERE id = $1", first)
        await transaction.commit()
        assert await cancelling == Marked(cancelled=2, under_way=0)
        assert await watch.fetchval("SELECT count(*) FROM sending_pool_emails WHERE attempts = 7") == 2
    finally:
        await ours.close()
        await other.close()
        await watch.close()


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_conflict_at_every_attempt_becomes_unavailable(db: Database, code: str) -> None:
    tries = 0

    @repeat_on_conflict
    async def unlucky() -> None:
        nonlocal tries
        tries += 1
        async with db.transaction() as connection:
            await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{code}'; END $$")

    with pytest.raises(Conflict, match="again"):
        await unlucky()
    assert tries == ATTEMPTS


async def test_a_pool_in_use_is_busy_and_not_away(postgres_url: str) -> None:
    small = await open_database(postgres_url, pool_size=1, acquire_timeout=0.05, cipher=make_cipher())
    try:
        async with small.acquire():
            with pytest.raises(Throttled, match="all 1 database connections of this pool were in use"):
                await small.ping()
            with pytest.raises(Throttled):
                await small.fail_fast().ping()
        await small.ping()
    finally:
        await small.close()


async def test_without_an_acquire_timeout_a_task_waits_until_a_connection_is_free(postgres_url: str) -> None:
    small = await open_database(postgres_url, pool_size=1, acquire_timeout=None, cipher=make_cipher())
    try:
        async with asyncio.TaskGroup() as group, small.acquire() as connection:
            waiting = group.create_task(small.ping())
            await connection.execute("SELECT 1")
            assert not waiting.done()
        assert waiting.exception() is None
    finally:
        await small.close()
