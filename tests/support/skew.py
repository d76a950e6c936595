"""A database whose clock differs from this machine's: now() in Kannon's statements returns the shifted time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from kannon.db.pool import Database, open_database
from tests.support.cipher import make_cipher

_SKEW = """
CREATE SCHEMA IF NOT EXISTS skew;
CREATE TABLE IF NOT EXISTS skew.clock (shift interval NOT NULL);
INSERT INTO skew.clock SELECT interval '0' WHERE NOT EXISTS (SELECT FROM skew.clock);
CREATE OR REPLACE FUNCTION skew.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$SELECT pg_catalog.now() + (SELECT shift FROM skew.clock)$$;
ALTER TABLE sending_pool_emails ALTER created_at SET DEFAULT skew.now();
"""
"""A column's default is bound when it is set; this one is compared with other times."""


async def install_skew(url: str) -> None:
    """Connections that exist keep the true time."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_SKEW)
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET search_path = skew, pg_catalog, public")
    finally:
        await connection.close()


async def set_skew(url: str, by: timedelta) -> None:
    """At once, for every connection."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE skew.clock SET shift = $1", by)
    finally:
        await connection.close()


@asynccontextmanager
async def skewed(url: str, by: timedelta) -> AsyncIterator[Database]:
    await install_skew(url)
    await set_skew(url, by)
    db = await open_database(url, cipher=make_cipher())
    try:
        yield db
    finally:
        await db.close()
