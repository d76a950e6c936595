"""What claims cost in PostgreSQL's pages: in proportion to the page, not to the pool or its tenants."""

from datetime import timedelta

import pytest

from kannon.db.pool import Database
from kannon.db.queries import queries
from tests.support.explain import Explained, explain
from tests.support.pool import fill_pool, insert_batch, insert_rows

PAGE = 200
POOL = "sending_pool_emails"
STATES = {"claim_due": "scheduled", "claim_to_validate": "to_validate"}
EACH = pytest.mark.parametrize(("claim", "state"), STATES.items())


async def cost(db: Database, claim: str, cursor: str = "t5.test") -> Explained:
    async with db.transaction() as connection:
        await queries.keep_to_indexes(connection)
        return await explain(connection, claim, page=PAGE, cursor=cursor)


async def empty(db: Database) -> None:
    async with db.acquire() as connection:
        await connection.execute("TRUNCATE sending_pool_emails")


@EACH
async def test_a_claim_costs_the_same_however_many_tenants_wait(db: Database, claim: str, state: str) -> None:
    await fill_pool(db, 100, 30_000, state=state)
    few = await cost(db, claim)
    await empty(db)
    await fill_pool(db, 10_000, 30_000, state=state)
    many = await cost(db, claim)
    assert few.plan["Actual Rows"] == many.plan["Actual Rows"] == PAGE
    assert many.buffers <= 1.5 * few.buffers


async def test_tenants_whose_mail_is_not_due_cost_a_claim_little(db: Database) -> None:
    await fill_pool(db, 10_000, 30_000, due=timedelta(hours=1))
    await insert_batch(db, ["a@x.org"], state="scheduled")
    assert (await cost(db, "claim_due")).buffers < 100
    assert (await cost(db, "claim_due")).buffers < 100  # nothing is due
    await insert_batch(db, [f"a{n}@x.org" for n in range(1000)], name="2", state="scheduled")
    full = await cost(db, "claim_due")
    assert full.plan["Actual Rows"] == PAGE
    assert full.buffers < 40 * PAGE


@EACH
@pytest.mark.parametrize("tenants", [1, 1000])
async def test_a_claim_is_cheap_where_autovacuum_looked_while_a_batch_was_written(
    db: Database, claim: str, state: str, tenants: int
) -> None:
    """It notes that the table has many pages and no rows."""
    async with db.transaction() as other:
        await insert_rows(other, tenants, 30_000, state=state)
        async with db.acquire() as connection:
            await connection.execute(f"VACUUM (ANALYZE) {POOL}")
    async with db.acquire() as connection:
        assert await connection.fetchval(f"SELECT reltuples FROM pg_class WHERE oid = '{POOL}'::regclass") == 0
    explained = await cost(db, claim)
    assert explained.plan["Actual Rows"] == PAGE
    assert explained.rows() <= 10 * PAGE
    assert explained.buffers <= 40 * PAGE
