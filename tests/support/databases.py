"""A migrated database for each test. Emptying an earlier test's database costs a quarter of a new copy.

A database is used again only if its schema equals the template's. Sessions of the earlier test are terminated.
"""

from itertools import count

import asyncpg

from tests.support.servers import TEMPLATE, create_database, database_url, drop_database

_CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Everything in a schema that a test might alter, and the only rows of a new database.
_SCHEMA = """
SELECT md5(string_agg(what, ',' ORDER BY what)) FROM (
    SELECT concat_ws(' ', relname, relkind, relchecks, relispartition, reloptions) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, atttypid, attnotnull, attisdropped) FROM pg_attribute
    WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger
    UNION ALL SELECT proname || prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting
    UNION ALL SELECT concat_ws(' ', version, name) FROM schema_migrations
) AS everything (what)
"""
_TABLES = """
SELECT format('%I', relname) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    AND relname <> 'schema_migrations'
"""
_RESTART = """
SELECT setval(format('%I', sequencename), start_value, false) FROM pg_sequences WHERE last_value IS NOT NULL
"""


class Databases:
    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._numbers = count(1)
        self._left: list[str] = []
        self._schema = ""

    async def take(self) -> str:
        """The name of a database in its initial state."""
        if not self._schema:
            self._schema = await self._schema_of(TEMPLATE)
        while self._left:
            name = self._left.pop()
            if await self._emptied(name):
                return name
            await drop_database(self._server_url, name)
        name = f"migrated_{next(self._numbers)}"
        await create_database(self._server_url, name, template=TEMPLATE)
        return name

    def release(self, name: str) -> None:
        self._left.append(name)

    def url(self, name: str) -> str:
        return database_url(self._server_url, name)

    async def _schema_of(self, name: str) -> str:
        connection = await asyncpg.connect(self.url(name))
        try:
            return str(await connection.fetchval(_SCHEMA))
        finally:
            await connection.close()

    async def _emptied(self, name: str) -> bool:
        """False if the database cannot be emptied."""
        try:
            connection = await asyncpg.connect(self.url(name))
        except (OSError, asyncpg.PostgresError):
            return False
        try:
            await connection.execute(_CUT)
            if await connection.fetchval(_SCHEMA) != self._schema:
                return False
            tables = [row[0] for row in await connection.fetch(_TABLES)]
            used = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables)
            if filled := [row[0] for row in await connection.fetch(used)]:
                await connection.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
            await connection.execute(_RESTART)
        except asyncpg.PostgresError:
            return False
        else:
            return True
        finally:
            await connection.close()
