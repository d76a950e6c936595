"""What `kannon backup` and `kannon restore` have in common: the embedded database, whoever runs it.

In: the configuration. Out: the running server of a `kannon serve` on the same data_dir, or one that is started for the
time of the command. Refuses an external database, whose owner has tools of its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kannon.config import Config
from kannon.embedded import DataDir, EmbeddedPostgres
from kannon.embedded.backup import Backups
from kannon.embedded.data_dir import InUse
from kannon.errors import OperatorError


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that answers. `running`: a `kannon serve` uses it meanwhile."""

    url: str
    backups: Backups
    running: bool


@asynccontextmanager
async def reach_database(config: Config, *, create: bool) -> AsyncIterator[Reached]:
    """`create`: also where there is none yet. Raises OperatorError, Unavailable."""
    if config.postgres.url:
        raise OperatorError("postgres.url is set: an external database is backed up and restored with its own tools")
    place = config.data_dir.expanduser().absolute()
    if not create and not (place / "postgres").exists():
        raise OperatorError(f"data_dir {place} holds no embedded database")
    try:
        opened = DataDir.open(config.data_dir)
    except InUse:
        postgres = EmbeddedPostgres(place)
        yield Reached(postgres.url, postgres.backups, running=True)
        return
    with opened:
        postgres = EmbeddedPostgres(opened.path)
        await postgres.start()
        try:
            yield Reached(postgres.url, postgres.backups, running=False)
        finally:
            await postgres.stop()
