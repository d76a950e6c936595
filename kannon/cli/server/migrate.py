"""`kannon migrate`: brings an external database's schema up to date. The embedded one is migrated by `kannon serve`."""

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

    with operator_errors():
        url = load_config(config).postgres.url
        if not url:
            raise OperatorError("postgres.url is not set: the embedded database is migrated by kannon serve")
        applied = anyio.run(apply, url)
        for migration in applied:
            typer.echo(f"applied {migration.name}")
        if not applied:
            typer.echo(f"nothing to do: the schema is version {len(known_migrations())}")
