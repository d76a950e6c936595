"""The `kannon` command: a table of its commands, each imported only when it is used.

In: arguments. Out: exit codes: 0 done, 1 failed, 2 wrong usage, 69 unavailable, 77 not allowed, 78 wrong configuration.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "serve": "kannon.cli.serve:serve",
    "check": "kannon.cli.check:check",
    "migrate": "kannon.cli.migrate:migrate",
    "backup": "kannon.cli.backup:backup",
    "restore": "kannon.cli.restore:restore",
    "install": "kannon.cli.install:install",
    "uninstall": "kannon.cli.uninstall:uninstall",
    "version": "kannon.cli.version:version",
    "demo": "kannon.cli.demo:demo",
    "domains": "kannon.cli.domains:app",
    "keys": "kannon.cli.keys:app",
    "templates": "kannon.cli.templates:app",
    "send": "kannon.cli.send:app",
    "batches": "kannon.cli.batches:app",
    "queue": "kannon.cli.queue:app",
    "stats": "kannon.cli.stats:app",
    "suppressions": "kannon.cli.suppressions:app",
    "parked": "kannon.cli.parked:app",
    "health": "kannon.cli.health:app",
}
"""Name → where it lives: a typer application, or the function of a single command."""


class _Lazily(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(cmd_name)(function)
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="kannon",
    help="A self-hosted mail sender: serve it, and use one that is running.",
    cls=_Lazily,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Holds the commands together."""


def main() -> None:
    app()
