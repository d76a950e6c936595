"""`kannon backup FILE`: the embedded database in one file, while `kannon serve` runs or while it does not."""

from pathlib import Path
from typing import Annotated

import anyio
import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import Config, load_config
from kannon.errors import OperatorError


def backup(
    file: Annotated[Path, typer.Argument(help="Where to; it is replaced only by a complete backup.")],
    config: ConfigOption = None,
) -> None:
    """Write the embedded database into a file."""
    with operator_errors():
        anyio.run(_backup, load_config(config), file.absolute())


async def _backup(config: Config, file: Path) -> None:
    # Imported here: the other commands start faster without it.
    from kannon.cli.server.database import reach_database
    from kannon.db.restore import schema_version

    if file.is_dir():
        raise OperatorError(f"{file} is a folder: name a file")
    async with reach_database(config, create=False) as database:
        version = await schema_version(database.url)
        if version is None:
            raise OperatorError("the embedded database is empty: kannon serve has never run on it")
        await database.backups.write(file)
    typer.echo(f"wrote {file} ({file.stat().st_size} bytes, schema {version})")
