"""`kannon restore FILE`: a backup takes the place of the embedded database, while `kannon serve` runs or not.

In: a file that `kannon backup` wrote, of this version or an older one. Out: the database it held, migrated; the present
one in data_dir/backups. Until the very last step, one transaction, nothing of the present database is touched.
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
    from kannon.cli.server.database import Reached


def restore(
    file: Annotated[Path, typer.Argument(help="What kannon backup wrote.")],
    config: ConfigOption = None,
) -> None:
    """Put a backup in the place of the embedded database."""
    with operator_errors():
        anyio.run(_restore, load_config(config), file.absolute())


async def _restore(config: Config, file: Path) -> None:
    # Imported here: the other commands start faster without it.
    from kannon.cli.server.database import reach_database

    if not file.is_file():
        raise OperatorError(f"{file} is not there")
    async with reach_database(config, create=True) as database:
        await _replace(database, file)


async def _replace(database: "Reached", file: Path) -> None:
    from kannon.db import restore as db
    from kannon.db.migrate import migrate

    await database.backups.check(file)
    present = await db.schema_version(database.url)
    await db.create_restored(database.url)
    try:
        await database.backups.read(file, database=db.RESTORED)
        fresh = db.of_database(database.url, db.RESTORED)
        if await db.schema_version(fresh) is None:
            raise OperatorError(f"{file} is a backup of something else: it holds no Kannon")
        migrated = await migrate(fresh)  # refuses a newer schema
        if present is not None:
            kept = await database.backups.keep(f"schema-{present}-before-restore", clock=partial(datetime.now, UTC))
            typer.echo(f"kept the present database as {kept}")
        await db.complete_restored(database.url, keep_present=present is not None)
        await db.put_in_place(database.url)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await db.drop_restored(database.url)
        raise
    for migration in migrated:
        typer.echo(f"applied {migration.name}")
    typer.echo(f"restored {file}" + ("; kannon serve goes on with it" if database.running else ""))
