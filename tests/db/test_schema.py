"""Migrations, and every statement of sql/queries against the schema they make."""

import re
from pathlib import Path

import anyio.to_thread
import asyncpg
import pytest

from kannon.db.migrate import known_migrations, migrate, pending_migrations
from kannon.db.pool import Database, open_database
from kannon.db.queries import SQL, queries
from kannon.db.schema import check_schema
from kannon.errors import SchemaMismatch, Unavailable
from kannon.mail.delivery import IN_FLIGHT, State
from tools.dump_schema import SCHEMA, dump

NAMES = sorted(n for n in queries.available_queries if not n.endswith("_cursor"))


async def test_migrations_apply_once_and_in_order(empty_postgres_url: str) -> None:
    assert await pending_migrations(empty_postgres_url) == known_migrations()
    assert await migrate(empty_postgres_url) == known_migrations()
    assert await migrate(empty_postgres_url) == []
    assert await pending_migrations(empty_postgres_url) == []


async def test_a_newer_schema_is_refused(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")
    await connection.close()
    with pytest.raises(SchemaMismatch, match="version 9999"):
        await migrate(postgres_url)
    with pytest.raises(SchemaMismatch):
        await pending_migrations(postgres_url)


async def test_a_schema_is_there_once_its_last_migration_is(db: Database, postgres_url: str) -> None:
    await check_schema(db)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")
    await check_schema(db)  # a process of the next version migrates while this one still serves
    await connection.execute("DELETE FROM schema_migrations WHERE version >= $1", len(known_migrations()))
    with pytest.raises(Unavailable, match="not migrated: run kannon migrate"):
        await check_schema(db)
    await connection.execute("DELETE FROM schema_migrations")
    with pytest.raises(Unavailable, match="not migrated: run kannon migrate"):
        await check_schema(db)
    await connection.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    db = await open_database("postgres://nobody@127.0.0.1:9/none")
    with pytest.raises(Unavailable, match="PostgreSQL"):
        await db.ping()
    await db.close()
    with pytest.raises(Unavailable, match="PostgreSQL"):
        await migrate("postgres://nobody@127.0.0.1:9/none")


@pytest.mark.parametrize("name", NAMES)
async def test_every_query_prepares_on_a_migrated_database(name: str, migrated: asyncpg.Connection) -> None:
    statement = await migrated.prepare(getattr(queries, name).sql)
    assert statement.get_query()


def test_every_query_is_wrapped_by_exactly_one_function() -> None:
    source = "\n".join(p.read_text() for p in sorted(Path("kannon/db").glob("*.py")))
    calls = re.findall(r"queries\.([a-z_0-9]+)", source.replace("kannon.db.queries", ""))
    assert {name for name in NAMES if name not in calls} == set()


def test_states_are_those_of_the_database() -> None:
    schema = "\n".join(p.read_text() for p in sorted((SQL / "migrations").glob("*.sql")))
    checked = re.search(r"CHECK \(state IN \(([^)]*)\)\)", schema)
    in_flight = re.search(r"CHECK \(\(claimed_at IS NOT NULL\) = \(state IN \(([^)]*)\)\)\)", schema)
    assert checked is not None
    assert in_flight is not None
    assert set(re.findall(r"'(\w+)'", checked[1])) == {s.value for s in State}
    assert set(re.findall(r"'(\w+)'", in_flight[1])) == {s.value for s in IN_FLIGHT}


async def test_the_written_schema_is_what_the_migrations_make(postgres_url: str) -> None:
    assert SCHEMA.read_text() == await anyio.to_thread.run_sync(dump, postgres_url), "run make schema"
