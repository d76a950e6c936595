"""The schema as a component: migrates the embedded database, checks an external one, loads the master key and encrypts
the secrets that are not encrypted yet, then waits for the stop.

An external database is migrated only on command (`kannon migrate`, `serve --migrate`): where it is older or newer than
this program, the process ends with one line. The embedded one is backed up first (`backup`).
"""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.db.cipher import Cipher
from kannon.db.migrate import WRONG_DATABASE, known_migrations, migrate, pending_migrations
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.secrets import prepare_secrets
from kannon.errors import OperatorError, SchemaMismatch, Unavailable

if TYPE_CHECKING:
    import asyncpg

    from kannon.db.pool import Connection

log = structlog.get_logger()


class Schema:
    """Ready once the schema is that of this program, and no secret in it is in clear text."""

    name = "schema"

    def __init__(
        self,
        url: str,
        *,
        migrate: bool,
        backup: Callable[[str], Awaitable[Path]] | None = None,
        cipher: Cipher | None = None,
        generate_key: Callable[[], object] | None = None,
    ) -> None:
        """`backup` writes a backup of the embedded database under a name and returns its path; None: it is external.
        `cipher` None: no component of this process needs the master key. `generate_key` makes the first one."""
        self._cipher = cipher
        self._generate_key = generate_key
        self._url = url
        self._migrate = migrate
        self._backup = backup

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Raises SchemaMismatch, OperatorError, Unavailable; ConfigError where this node lacks the master key."""
        try:
            pending = await pending_migrations(self._url)
        except Unavailable as error:
            if self._backup is not None and isinstance(error.__cause__, WRONG_DATABASE):
                reason = f"data_dir holds PostgreSQL data that is not Kannon's: {error.__cause__}"
                raise OperatorError(f"{reason}; choose another data_dir") from None
            raise
        if pending and not self._migrate:
            raise SchemaMismatch(
                f"the database is {len(pending)} migration(s) behind ({pending[0].name} is next): run kannon migrate"
            )
        if pending:
            if self._backup is not None and pending[0].version > 1:
                file = await self._backup(f"schema-{pending[0].version - 1}")
                log.info("database backed up before its migration", file=str(file))
            log.info("applying migrations", first=pending[0].name, count=len(pending))
            for migration in await migrate(self._url):
                log.info("migration applied", migration=migration.name)
        if self._cipher is not None:
            encrypted = await prepare_secrets(self._url, self._cipher, self._generate_key)
            if encrypted:
                log.info("secrets encrypted", count=encrypted, master_key=self._cipher.active)
        task_status.started()
        await stop.wait()


async def check_schema(db: Database) -> None:
    """Returns if the database answers and has all tables of this program. Raises Unavailable."""
    async with db.acquire() as connection:
        version = await find_version(connection)
    if (version or 0) < _newest():
        raise Unavailable("PostgreSQL: the database is not migrated: run kannon migrate")


async def find_version(connection: "Connection | asyncpg.Connection[asyncpg.Record]") -> int | None:
    """The newest migration applied; None before the first one."""
    version: int | None = await queries.find_schema_version(connection)
    return version


@cache
def _newest() -> int:
    return len(known_migrations())
