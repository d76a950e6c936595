"""`kannon migrate`: migrates the schema of an external database. `kannon serve` migrates the embedded one."""

import anyio
import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import load_config
from kannon.errors import OperatorError


def migrate(config: ConfigOption = None) -> None:
    """Migrate the database named by postgres.url."""
    from kannon.db.migrate import known_migrations
    from kannon.db.migrate import migrate as apply
    from kannon.log import setup_logging

    with operator_errors():
        settings = load_config(config)
        setup_logging("warning", settings.log.format)  # the command itself says what it has done
        url = settings.postgres.url
        if not url:
            raise OperatorError("postgres.url is not set: kannon serve migrates the embedded database")
        applied = anyio.run(apply, url)
        for migration in applied:
            typer.echo(f"applied {migration.name}")
        if not applied:
            typer.echo(f"nothing to do: the schema has version {len(known_migrations())}")
