"""A large installation, made by PostgreSQL itself: tenants, batches, waiting deliveries, and events of ten weeks.

One tenant (t0.test) has half of all rows, as a large tenant among small ones. Nothing here goes through the product's
stages; the counters are what the events amount to. A process that stays (`grow`) can be killed at any time: the data
is for one run.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from kannon.db.pool import Database
from kannon.db.stats_write import WEEK, ensure_partitions, week_of

if TYPE_CHECKING:
    from kannon.db.pool import Connection

DAYS = 72
BATCH = 2_500
"""Deliveries of a batch, all due at one time."""
_MINUTES = 60.0
_DOMAINS = "INSERT INTO domains (domain) SELECT 't' || n || '.test' FROM generate_series(0, $1 - 1) n"
_TENANT = "CASE WHEN n % 2 = 0 THEN 0 ELSE n / 2 % $2 END"
_BATCHES = f"""
INSERT INTO messages (message_id, domain, sender_email, subject, created_at, scheduled_at, accepted_count,
                      rejected_count)
SELECT 'msg_' || n || '@' || domain, domain, 'news@' || domain, 'Hello', at, at, {BATCH}, 0
FROM generate_series(0, $1 - 1) n,
     LATERAL (SELECT 't' || {_TENANT} || '.test', now() - interval '1 hour' * (n % 1000)) AS each (domain, at)
"""
_POOL = f"""
INSERT INTO sending_pool_emails (message_id, domain, email, opens, links, state, created_at, due_at, next_attempt_at)
SELECT 'msg_' || n || '@' || domain, domain, 'reader' || r || '@inbox' || r % 50 || '.test', 4, 4, 'scheduled', now(),
       due, due
FROM generate_series($1::bigint, $3 - 1) r, LATERAL (SELECT r / {BATCH}) AS batch (n),
     LATERAL (SELECT 't' || {_TENANT} || '.test', now() + interval '1 second' * (n - 1000)) AS each (domain, due)
"""
_EVENTS = f"""
INSERT INTO stats (event_id, at, type, domain, message_id, email, delivery_id, attempt, code, text, host, position)
SELECT e || '.1.' || type, $4::timestamptz + interval '1 day' * $5::float8 * (e - $1) / ($3 - $1), type, domain,
       'msg_' || e / {BATCH} || '@' || domain, 'reader' || e || '@inbox' || e % 50 || '.test', e, 1, 250,
       '2.0.0 Ok: queued as 4b2C3d4E5f6a7b8c9', 'mx1.inbox' || e % 50 || '.test', nextval('stats_position')
FROM generate_series($1::bigint, $3 - 1) e, LATERAL (SELECT e / {BATCH}) AS batch (n),
     LATERAL (SELECT 't' || {_TENANT} || '.test',
                     (ARRAY['accepted', 'delivered', 'opened', 'accepted', 'delivered'])[1 + e % 5])
         AS each (domain, type)
"""
_COUNTERS = """
INSERT INTO aggregated_stats (domain, hour, type, count)
SELECT domain, date_trunc('hour', at, 'UTC'), type, count(*) FROM stats GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Size:
    waiting: int
    events: int
    tenants: int = 300


async def grow(db: Database, size: Size) -> None:
    """Fills an empty, migrated database."""
    now = datetime.now(UTC)
    await ensure_partitions(db, {week_of(now - n * WEEK) for n in range(-1, DAYS // 7 + 2)})
    async with db.acquire() as connection:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET maintenance_work_mem = '512MB'")
        batches = max(size.waiting, size.events) // BATCH + 1
        await _run(connection, _DOMAINS, size.tenants)
        await _run(connection, _BATCHES, batches, size.tenants)
        await _in_pieces(connection, _POOL, size.waiting, size.tenants)
        step = 500_000
        for first in range(0, size.events, step):
            share = DAYS * first / size.events
            last = min(first + step, size.events)
            await _run(
                connection,
                _EVENTS,
                first,
                size.tenants,
                last,
                now - timedelta(days=DAYS - share),
                DAYS * (last - first) / size.events,
            )
        await _run(connection, _COUNTERS)
        for table in ("sending_pool_emails", "stats", "aggregated_stats", "messages"):
            await _run(connection, f"VACUUM (ANALYZE) {table}")


async def _in_pieces(connection: "Connection", statement: str, rows: int, tenants: int, step: int = 500_000) -> None:
    for first in range(0, rows, step):
        await _run(connection, statement, first, tenants, min(first + step, rows))


async def _run(connection: "Connection", statement: str, *arguments: object) -> None:
    await connection.execute(statement, *arguments, timeout=_MINUTES * 60)
