"""`kannon restore FILE`: replaces the embedded database with a backup, whether `kannon serve` runs or not.

In: a file that `kannon backup` of this or an older version wrote. Out: the database from the file, migrated, and a copy
of the former database in data_dir/backups. The last step, one transaction, is the first to change the former database.
Without the master key of the backup nothing is changed.
"""

from collections.abc import Callable
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
    from kannon.db.cipher import Cipher


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
        await _replace(database, config, file)


async def _replace(database: "OpenDatabase", config: Config, file: Path) -> None:
    from kannon.db import restore as db
    from kannon.db.cipher import Cipher
    from kannon.db.migrate import migrate
    from kannon.embedded.master_key import add_master_key, master_key_source

    data_dir = database.backups.data_dir
    await database.backups.check(file)
    present = await db.schema_version(database.url)
    await db.create_restored(database.url)
    try:
        await database.backups.read(file, database=db.RESTORED)
        fresh = db.of_database(database.url, db.RESTORED)
        if await db.schema_version(fresh) is None:
            raise OperatorError(f"{file} is not a backup of Kannon: it has no schema version")
        migrated = await migrate(fresh)  # refuses a newer schema
        cipher = Cipher(master_key_source(config, data_dir))
        await _encrypt(fresh, cipher, file, partial(add_master_key, data_dir))
        if present is not None:
            name = f"schema-{present}-before-restore"
            kept = await database.backups.write_rotated(name, clock=partial(datetime.now, UTC))
            typer.echo(f"saved the former database as {kept}")
        await db.complete_restored(database.url, cipher, keep_current=present is not None)
        await db.replace_current(database.url)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await db.drop_restored(database.url)
        raise
    for migration in migrated:
        typer.echo(f"applied {migration.name}")
    typer.echo(f"restored {file}" + ("; the running kannon serve uses it now" if database.running else ""))


async def _encrypt(fresh: str, cipher: "Cipher", file: Path, generate_key: Callable[[], object]) -> None:
    """Encrypts the restored secrets with the newest master key. Raises OperatorError where that of the backup is
    missing."""
    from kannon.db.secrets import find_active_key, prepare_secrets, rotate_secrets

    wanted, keys = await find_active_key(fresh), cipher.load()
    if wanted is not None and wanted not in keys:
        raise OperatorError(
            f"{file}: its secrets are encrypted with master key {wanted}, which this node does not have; nothing is "
            "changed: add that key to data_dir/master_key (a line) or to master_key, and restore again"
        )
    await prepare_secrets(fresh, cipher, generate_key)
    if keys and cipher.active != keys[0]:
        await rotate_secrets(fresh, cipher, keys[0])
