"""No statement of queue.sql reads the pool from end to end, whatever PostgreSQL's statistics say of it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kannon.db.pool import Database
from kannon.db.queries import queries
from tests.support.explain import explain
from tests.support.pool import insert_rows

if TYPE_CHECKING:
    from kannon.db.pool import Connection

POOL = "sending_pool_emails"
ROWS = 100_000
COUNT = 500
UNPLANNED = {"release_validating", "reclaim_validating", "reclaim_sending", "find_delivery"}
"""All others run after keep_to_indexes."""


async def fill(connection: "Connection") -> None:
    """Mostly rows that wait, as after a large send."""
    for state in ("to_validate", "scheduled"):
        await insert_rows(connection, 1, ROWS // 2, state=state)
    for state in ("validating", "sending"):
        await connection.execute(
            f"INSERT INTO {POOL} (message_id, domain, email, opens, links, state, due_at, next_attempt_at, claimed_at)"
            " SELECT 'msg_1@t0.test', 't0.test', 'a@x.org', 4, 4, $1, now(), now(), now() FROM generate_series(1, $2)",
            state,
            2 * COUNT,
        )


async def statements(connection: "Connection") -> dict[str, dict[str, object]]:
    """Each with parameters that find COUNT rows or twice as many."""
    rows = f"SELECT array_agg(id) FROM (SELECT id FROM {POOL} WHERE state = $1 LIMIT $2) p"
    validating = await connection.fetchval(rows, "validating", COUNT)
    sending = await connection.fetchval(rows, "sending", COUNT)
    now = datetime.now(UTC)

    def each(value: object) -> list[object]:
        return [value] * COUNT

    throttled = {"domains": ["t0.test"], "destinations": ["x.org"], "seconds": [5], "rates": [20], "spreads": [10]}
    throttled["reasons"] = [""]
    deferral = {"attempts": each(1), "next_attempts": each(now), "codes": each(451), "stages": each("rcpt")}
    return {
        "claim_to_validate": {"page": COUNT, "cursor": ""},
        "settle_validated": {"ids": validating},
        "delete_validated": {"ids": validating},
        "release_validating": {"ids": validating},
        "reclaim_validating": {"lease": timedelta(0)},
        "claim_due": {"page": COUNT, "cursor": ""},
        "release_sending": {"ids": sending, "delay": timedelta(0)},
        "return_throttled": {"ids": sending, "turns": each(0), "seconds": each(5), "reasons": each("")},
        "delay_throttled": {**throttled, "behind": 0, "window": COUNT},
        "reclaim_sending": {"claimed_before": now + timedelta(minutes=1)},
        "find_sending": {"ids": sending},
        "delete_deliveries": {"ids": sending},
        "reschedule_deliveries": {"ids": sending, **deferral, "hosts": each("mx"), "texts": each("later")},
        "find_delivery": {"delivery_id": sending[0]},
    }


@pytest.mark.parametrize("analyzed", ["afterwards", "meanwhile"])
async def test_every_statement_finds_its_rows_by_an_index(db: Database, analyzed: str) -> None:
    """Autovacuum that looks while a batch is written notes that the table has many pages and no rows."""
    async with db.acquire() as autovacuum, db.acquire() as connection:
        async with connection.transaction():
            await fill(connection)
            if analyzed == "meanwhile":
                await autovacuum.execute(f"VACUUM (ANALYZE) {POOL}")
        if analyzed == "afterwards":
            await autovacuum.execute(f"VACUUM (ANALYZE) {POOL}")
        for name, parameters in (await statements(connection)).items():
            transaction = connection.transaction()
            await transaction.start()
            if name not in UNPLANNED:
                await queries.keep_to_indexes(connection)
            explained = await explain(connection, name, **parameters)
            await transaction.rollback()
            assert POOL not in explained.scanned(), name
            assert explained.rows(POOL) <= 10 * COUNT, name
            assert explained.rows() <= COUNT * COUNT, name
            assert explained.buffers <= 60 * COUNT, name
