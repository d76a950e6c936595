"""Rows for tests of the pool: domains, batches and deliveries, written directly."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kannon.db.pool import Database

if TYPE_CHECKING:
    from kannon.db.pool import Connection

HTML = "<p>Hello {{ name }}</p>"


async def insert_domain(db: Database, domain: str = "example.com") -> None:
    async with db.acquire() as connection:
        await connection.execute("INSERT INTO domains (domain) VALUES ($1) ON CONFLICT DO NOTHING", domain)


async def insert_batch(
    db: Database,
    emails: Sequence[str],
    *,
    domain: str = "example.com",
    name: str = "1",
    state: str = "to_validate",
    due: timedelta = timedelta(0),
    fields: str = "{}",
) -> list[int]:
    """The delivery ids, in the order of `emails`; each due `due` from now."""
    await insert_domain(db, domain)
    at = datetime.now(UTC) + due
    message_id = f"msg_{name}@{domain}"
    async with db.transaction() as connection:
        await connection.execute(
            "INSERT INTO templates (template_id, domain, type, html) VALUES ($1, $2, 'transient', $3)",
            f"template_{name}@{domain}",
            domain,
            HTML,
        )
        await connection.execute(
            "INSERT INTO messages (message_id, domain, template_id, sender_email, subject, scheduled_at,"
            " accepted_count, rejected_count) VALUES ($1, $2, $3, $4, 'Hello', $5, $6, 0)",
            message_id,
            domain,
            f"template_{name}@{domain}",
            f"news@{domain}",
            at,
            len(emails),
        )
        rows = await connection.fetch(
            "INSERT INTO sending_pool_emails (message_id, domain, email, opens, links, state, due_at, next_attempt_at,"
            " claimed_at, fields) SELECT $1, $2, e, 4, 4, $4, $5, $5,"
            " CASE WHEN $4 IN ('validating', 'sending') THEN now() END, $6::jsonb FROM unnest($3::text[]) e"
            " RETURNING id",
            message_id,
            domain,
            list(emails),
            state,
            at,
            fields,
        )
    return [row["id"] for row in rows]


async def states(db: Database) -> Mapping[int, str]:
    """State by delivery id."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT id, state FROM sending_pool_emails ORDER BY id")
    return {row["id"]: row["state"] for row in rows}


async def event_rows(db: Database) -> list[tuple[int, str]]:
    """(delivery id, type) of every stored event."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT delivery_id, type FROM stats ORDER BY delivery_id, at, type")
    return [(row["delivery_id"], row["type"]) for row in rows]


async def counters(db: Database) -> dict[str, int]:
    """Totals of aggregated_stats by type."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT type, sum(count)::bigint AS n FROM aggregated_stats GROUP BY type")
    return {row["type"]: row["n"] for row in rows}


async def fill_pool(
    db: Database, tenants: int, rows: int, *, state: str = "scheduled", due: timedelta = timedelta(hours=-1)
) -> None:
    """As insert_rows, with what autovacuum does afterwards."""
    async with db.acquire() as connection:
        await insert_rows(connection, tenants, rows, state=state, due=due)
        await connection.execute("VACUUM (ANALYZE) sending_pool_emails")


async def insert_rows(
    connection: "Connection", tenants: int, rows: int, *, state: str = "scheduled", due: timedelta = timedelta(hours=-1)
) -> None:
    """Rows without a batch, of t0.test, t1.test, … in turn, the first due `due` from now, each a millisecond after the
    one before."""
    at = datetime.now(UTC) + due
    await connection.execute(
        "INSERT INTO sending_pool_emails (message_id, domain, email, opens, links, state, due_at, next_attempt_at)"
        " SELECT 'msg_1@' || domain, domain, 'a' || n || '@x.org', 4, 4, $3, at, at FROM generate_series(0, $2 - 1) n,"
        " LATERAL (SELECT 't' || n % $1 || '.test', $4::timestamptz + n * interval '1 ms') AS each (domain, at)",
        tenants,
        rows,
        state,
        at,
    )
