"""The schema as a component: brings an embedded database up to date, checks an external one, then stands by.

An external database is migrated only when asked (`kannon migrate`, `serve --migrate`): when it is behind, or newer than
this program, the process ends with one line.
"""

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.db.migrate import migrate, pending_migrations
from kannon.errors import SchemaMismatch

log = structlog.get_logger()


class Schema:
    """Ready once the schema is what this program knows."""

    name = "schema"

    def __init__(self, url: str, *, migrate: bool) -> None:
        self._url = url
        self._migrate = migrate

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Raises SchemaMismatch, Unavailable."""
        if self._migrate:
            for migration in await migrate(self._url):
                log.info("migrated", migration=migration.name)
        elif pending := await pending_migrations(self._url):
            raise SchemaMismatch(
                f"the database is {len(pending)} migration(s) behind ({pending[0].name} is next): run kannon migrate"
            )
        task_status.started()
        await stop.wait()
