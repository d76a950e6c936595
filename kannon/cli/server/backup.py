"""`kannon backup FILE`: writes the embedded database to a file, whether `kannon serve` runs or not."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import anyio
import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import Config, load_config
from kannon.errors import OperatorError


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write. Only a complete backup replaces an existing file.")],
    config: ConfigOption = None,
) -> None:
    """Write the embedded database to a file."""
    with operator_errors():
        anyio.run(_backup, load_config(config), file.absolute())


async def _backup(config: Config, file: Path) -> None:
    # Late imports: the other commands start faster without them.
    from kannon.cli.server.database import open_embedded_database
    from kannon.db.restore import schema_version
    from kannon.db.secrets import find_active_key
    from kannon.embedded.master_key import FILE

    if file.is_dir():
        raise OperatorError(f"{file} is a directory: give the name of a file")
    async with open_embedded_database(config, create=False) as database:
        version = await schema_version(database.url)
        if version is None:
            raise OperatorError("the embedded database is empty: run kannon serve first")
        begun_at = datetime.now(UTC)
        await database.backups.write(file)
        database.backups.record(begun_at)
        key = await find_active_key(database.url)
    typer.echo(f"wrote {file} ({file.stat().st_size} bytes, schema {version})")
    if key is not None:
        place = "master_key" if config.master_key.get_secret_value() else str(config.data_dir / FILE)
        typer.echo(f"the master key {key} is not in it, and a restore needs it: keep a copy of {place} elsewhere")
