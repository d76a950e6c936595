"""Brings the schema up to date: sql/migrations/NNNN_words.sql, in order, forward only, each in its own transaction.

In: the URL of a database. Out: the versions applied. Concurrent runs wait for each other (advisory lock). Where the
schema of the database is newer than this program, it raises SchemaMismatch and changes nothing.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from kannon.db.pool import AWAY, CONNECT_SECONDS, describe
from kannon.db.queries import SQL
from kannon.errors import SchemaMismatch, Unavailable

WRONG_DATABASE = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The cause of Unavailable where a server answers, but has no such role or database."""

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = 0x6B616E6E  # "kann": any number that no other program takes
_LOCK_SECONDS = 60.0
_MIGRATION_SECONDS = 3600.0
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     integer PRIMARY KEY,
    name        text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str


def known_migrations(folder: Path = SQL / "migrations") -> list[Migration]:
    """In order. A gap, or a file with another form of name, is a programming error (ValueError)."""
    found = []
    for file in sorted(folder.iterdir()):
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file.name} is not named NNNN_words.sql")
        found.append(Migration(int(match[1]), file.stem, file.read_text(encoding="utf-8")))
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations are not numbered 1, 2, 3 …")
    return found


async def migrate(url: str) -> list[Migration]:
    """Applies what is missing and returns it. Raises Unavailable, SchemaMismatch."""
    known = known_migrations()
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=_MIGRATION_SECONDS)
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=_LOCK_SECONDS)
            await connection.execute(_TABLE)
            applied = await _applied(connection)
            missing = _missing(applied, known)
            for migration in missing:
                async with connection.transaction():
                    await connection.execute(migration.sql)
                    await connection.execute(
                        "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)",
                        migration.version,
                        migration.name,
                    )
            return missing
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    except AWAY as error:
        raise Unavailable(f"PostgreSQL: {describe(error)}") from error


async def pending_migrations(url: str) -> list[Migration]:
    """The migrations that `migrate` would apply. Raises Unavailable, SchemaMismatch."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS)
        try:
            exists = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
            return _missing(await _applied(connection) if exists else [], known_migrations())
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    except AWAY as error:
        raise Unavailable(f"PostgreSQL: {describe(error)}") from error


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> list[int]:
    rows = await connection.fetch("SELECT version FROM schema_migrations ORDER BY version")
    return [row["version"] for row in rows]


def _missing(applied: list[int], known: list[Migration]) -> list[Migration]:
    newest = max(applied, default=0)
    if newest > len(known):
        raise SchemaMismatch(
            f"the database's schema is version {newest}, this Kannon supports {len(known)}: install a newer Kannon"
        )
    return known[newest:]
