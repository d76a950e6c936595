"""Opens the embedded database for `kannon backup` and `kannon restore`.

In: the configuration. Out: the server that a `kannon serve` runs on the same data_dir, or else one that runs as long as
the command. Refuses an external database, which PostgreSQL's own tools back up and restore.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kannon.config import Config
from kannon.embedded import DataDir, EmbeddedPostgres
from kannon.embedded.backup import Backups
from kannon.embedded.data_dir import InUse
from kannon.errors import OperatorError
from kannon.log import setup_logging


@dataclass(frozen=True, slots=True)
class OpenDatabase:
    """A server that answers. `running`: a `kannon serve` uses it too."""

    url: str
    backups: Backups
    running: bool


@asynccontextmanager
async def open_embedded_database(config: Config, *, create: bool) -> AsyncIterator[OpenDatabase]:
    """`create`: makes the database if there is none yet. Raises OperatorError, Unavailable."""
    setup_logging("warning", config.log.format)  # on standard error; the command itself says what it has done
    if config.postgres.url:
        raise OperatorError("postgres.url is set: back up and restore an external database with pg_dump and pg_restore")
    path = config.data_dir.expanduser().absolute()
    if not create and not (path / "postgres").exists():
        raise OperatorError(f"data_dir {path} holds no embedded database")
    try:
        opened = DataDir.open(config.data_dir)
    except InUse:
        postgres = EmbeddedPostgres(path)
        yield OpenDatabase(postgres.url, postgres.backups, running=True)
        return
    with opened:
        postgres = EmbeddedPostgres(opened.path)
        await postgres.start()
        try:
            yield OpenDatabase(postgres.url, postgres.backups, running=False)
        finally:
            await postgres.stop()
