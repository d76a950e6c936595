"""`kannon secrets`: the master key that encrypts the secrets in the database.

In: the configuration, and the database itself, embedded or not; `kannon serve` may run. Out: which key encrypts how
many secrets, a new active key, or a fresh key for the configuration.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import Config, load_config
from kannon.errors import OperatorError

if TYPE_CHECKING:
    from kannon.db.cipher import Cipher

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show and rotate the master key of stored secrets.")


@app.command("status")
def status(config: ConfigOption = None) -> None:
    """Show which master keys encrypt the secrets in the database. Exits 1 if one of them is missing here."""
    _run(config, _status)


@app.command("rotate")
def rotate(config: ConfigOption = None) -> None:
    """Encrypt all secrets with a new master key: a fresh one in data_dir/master_key, or the first one of master_key."""
    _run(config, _rotate)


@app.command("generate")
def generate() -> None:
    """Print a fresh master key, for master_key or a secret file."""
    from kannon.embedded.master_key import generate_master_key

    typer.echo(generate_master_key())


def _run(config: ConfigOption, command: Callable[[Config], Awaitable[None]]) -> None:
    with operator_errors():
        anyio.run(command, load_config(config))


async def _status(config: Config) -> None:
    from kannon.db.secrets import list_key_uses

    async with _opened(config) as (url, cipher):
        have, uses = cipher.load(), await list_key_uses(url)
    for use in uses:
        name = f"master key {use.id}" if use.id else "not encrypted"
        missing = "" if not use.id or use.id in have else ", MISSING on this node"
        created = f", since {use.created_at:%Y-%m-%d}" if use.created_at is not None else ""
        typer.echo(f"{name}: {use.secrets} secrets{', active' if use.active else ''}{created}{missing}")
    if not uses:
        typer.echo("no secrets yet")
    if any(use.id and use.id not in have for use in uses):
        raise typer.Exit(1)


async def _rotate(config: Config) -> None:
    from kannon.db.secrets import check_keys, find_active_key, rotate_secrets
    from kannon.embedded.master_key import add_master_key

    async with _opened(config) as (url, cipher):
        keys, active = cipher.load(), await find_active_key(url)
        if active is None:
            raise OperatorError("the database has no master key yet: start kannon serve first")
        check_keys(active, keys)
        if config.master_key.get_secret_value():
            if keys[0] == active:
                raise OperatorError(
                    f"master key {active} is active already: put a new one (kannon secrets generate) before it in "
                    'master_key on every node, as "NEW,OLD", restart them, then run this again'
                )
        else:
            if keys[0] == active:  # else an earlier rotation was interrupted
                add_master_key(config.data_dir.expanduser().absolute())
            keys = cipher.load()
        count = await rotate_secrets(url, cipher, keys[0])
    typer.echo(f"{count} secrets are encrypted with master key {keys[0]} now; {active} only serves older backups")


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[tuple[str, "Cipher"]]:
    """The URL of the database and the keys of this node. Raises OperatorError, Unavailable."""
    from kannon.cli.server.database import open_embedded_database
    from kannon.db.cipher import Cipher
    from kannon.embedded.master_key import master_key_source
    from kannon.log import setup_logging

    cipher = Cipher(master_key_source(config, config.data_dir.expanduser().absolute()))
    if config.postgres.url:
        setup_logging("warning", config.log.format)
        yield config.postgres.url, cipher
        return
    async with open_embedded_database(config, create=False) as database:
        yield database.url, cipher
