"""`kannon restore FILE`: replaces the embedded database with a backup, whether `kannon serve` runs or not.

In: a file that `kannon backup` of this or an older version wrote. Out: the database from the file, migrated, and a copy
of the former database in data_dir/backups. The last step, one transaction, is the first to change the former database.
"""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import Config, load_config
from kannon.errors import OperatorError

if TYPE_CHECKING:
    from kannon.cli.server.database import OpenDatabase


def restore(
    file: Annotated[Path, typer.Argument(help="A file that kannon backup wrote.")],
    config: ConfigOption = None,
) -> None:
    """Replace the embedded database with a backup."""
    with operator_errors():
        anyio.run(_restore, load_config(config), file.absolute())


async def _restore(config: Config, file: Path) -> None:
    # Late imports: the other commands start faster without them.
    from kannon.cli.server.database import open_embedded_database

    if not file.is_file():
        raise OperatorError(f"{file}: no such file")
    async with open_embedded_database(config, create=True) as database:
        await _replace(database, file)


async def _replace(database: "OpenDatabase", file: Path) -> None:
    from kannon.db import restore as db
    from kannon.db.migrate import migrate

    await database.backups.check(file)
    present = await db.schema_version(database.url)
    await db.create_restored(database.url)
    try:
        await database.backups.read(file, database=db.RESTORED)
        fresh = db.of_database(database.url, db.RESTORED)
        if await db.schema_version(fresh) is None:
            raise OperatorError(f"{file} is not a backup of Kannon: it has no schema version")
        migrated = await migrate(fresh)  # refuses a newer schema
        if present is not None:
            name = f"schema-{present}-before-restore"
            kept = await database.backups.write_rotated(name, clock=partial(datetime.now, UTC))
            typer.echo(f"saved the former database as {kept}")
        await db.complete_restored(database.url, keep_current=present is not None)
        await db.replace_current(database.url)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await db.drop_restored(database.url)
        raise
    for migration in migrated:
        typer.echo(f"applied {migration.name}")
    typer.echo(f"restored {file}" + ("; the running kannon serve uses it now" if database.running else ""))
