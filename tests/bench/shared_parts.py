"""What a mail costs PostgreSQL, which all machines share: transactions, WAL and its syncs, rows read and written.

In: two readings of PostgreSQL's counters. Out: their difference, by mail. Every process flushes its counters within a
second of its last statement.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

_COUNTERS = """
SELECT d.xact_commit AS commits, d.tup_inserted AS inserted, d.tup_updated AS updated, d.tup_deleted AS deleted,
       w.wal_bytes::bigint AS wal_bytes, w.wal_fpi AS wal_page_images,
       (SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal') AS wal_syncs
FROM pg_stat_database d, pg_stat_wal w WHERE d.datname = current_database()
"""


async def read_shared(database: "asyncpg.Connection[asyncpg.Record]") -> dict[str, int]:
    row = await database.fetchrow(_COUNTERS)
    assert row is not None
    return {name: value or 0 for name, value in row.items()}


def per_mail(before: dict[str, int], after: dict[str, int], mails: int) -> dict[str, float]:
    return {name: round((after[name] - before[name]) / mails, 3) for name in after}
