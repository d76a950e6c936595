"""The `kannon` command: a table of its commands, each imported only when it is used.

In: arguments. Out: exit codes: 0 done, 1 failed, 2 wrong usage, 69 unavailable, 77 not allowed, 78 wrong configuration.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "serve": "kannon.cli.server.serve:serve",
    "check": "kannon.cli.server.check:check",
    "migrate": "kannon.cli.server.migrate:migrate",
    "backup": "kannon.cli.server.backup:backup",
    "restore": "kannon.cli.server.restore:restore",
    "install": "kannon.cli.install.install:install",
    "uninstall": "kannon.cli.install.uninstall:uninstall",
    "version": "kannon.cli.version:version",
    "demo": "kannon.cli.demo.demo:demo",
    "domains": "kannon.cli.admin.domains:app",
    "keys": "kannon.cli.admin.keys:app",
    "templates": "kannon.cli.admin.templates:app",
    "send": "kannon.cli.admin.send:app",
    "batches": "kannon.cli.admin.batches:app",
    "queue": "kannon.cli.admin.queue:app",
    "stats": "kannon.cli.admin.stats:app",
    "suppressions": "kannon.cli.admin.suppressions:app",
    "parked": "kannon.cli.admin.dead_letters:app",
    "health": "kannon.cli.admin.health:app",
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
