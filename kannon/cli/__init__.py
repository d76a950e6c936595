"""The `kannon` command: a table of its commands, each imported only when it is used.

In: arguments. Out: exit codes: 0 done, 1 failed, 2 wrong usage, 69 unavailable, 77 not allowed, 78 wrong configuration.
"""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kannon import __version__

COMMANDS = {
    "serve": "kannon.cli.server.serve:serve",
    "check": "kannon.cli.server.check:check",
    "migrate": "kannon.cli.server.migrate:migrate",
    "backup": "kannon.cli.server.backup:backup",
    "restore": "kannon.cli.server.restore:restore",
    "sandbox": "kannon.cli.server.sandbox:app",
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
    "dead-letters": "kannon.cli.admin.dead_letters:app",
    "nodes": "kannon.cli.admin.nodes:app",
    "health": "kannon.cli.admin.health:app",
    "doctor": "kannon.cli.doctor.command:app",
}
"""Name → module and attribute: a typer application, or the function of a single command."""
RENAMED = {"parked": "dead-letters"}
"""Old name → new name. An old name still works, is not listed, and prints a note on standard error."""


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        name = RENAMED.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(name)(function)
        command = typer.main.get_command(found)
        command.name = name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in RENAMED and not ctx.resilient_parsing:  # click parses resiliently for shell completion
            note = f"kannon: kannon {args[0]} is now kannon {RENAMED[args[0]]}; the old name will be removed"
            typer.echo(note, err=True)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="kannon",
    help="A self-hosted mail sender: run the server, and use a running one.",
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kannon {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None: ...


def main() -> None:
    app()
