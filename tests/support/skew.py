"""A database whose clock differs from this machine's: now() in Kannon's statements returns the shifted time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from kannon.db.pool import Database, open_database


@asynccontextmanager
async def skewed(url: str, by: timedelta) -> AsyncIterator[Database]:
    """Column defaults keep the true time, because they were bound when the tables were created."""
    connection = await asyncpg.connect(url)
    try:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(
            "CREATE SCHEMA skew; CREATE FUNCTION skew.now() RETURNS timestamptz LANGUAGE sql STABLE AS"
            f" $$SELECT pg_catalog.now() + interval '{by.total_seconds()} seconds'$$;"
            f" ALTER DATABASE {name} SET search_path = skew, pg_catalog, public"
        )
    finally:
        await connection.close()
    db = await open_database(url)
    try:
        yield db
    finally:
        await db.close()
