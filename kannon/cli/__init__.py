"""The `kannon` command: a table of its commands, each imported only when it is used.

In: arguments. Out: exit codes: 0 done, 1 failed, 2 wrong usage, 69 unavailable, 77 not allowed, 78 wrong configuration.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kannon import __version__
from kannon.cli.usage import USAGE, UsageError, describe_usage_error

COMMANDS = {
    "serve": "kannon.cli.server.serve:serve",
    "check": "kannon.cli.server.check:check",
    "migrate": "kannon.cli.server.migrate:migrate",
    "backup": "kannon.cli.server.backup:backup",
    "restore": "kannon.cli.server.restore:restore",
    "secrets": "kannon.cli.server.secrets:app",
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
    "webhooks": "kannon.cli.admin.webhooks:app",
    "dead-letters": "kannon.cli.admin.dead_letters:app",
    "overview": "kannon.cli.admin.overview:app",
    "audit": "kannon.cli.admin.audit:app",
    "open": "kannon.cli.admin.open_pages:app",
    "nodes": "kannon.cli.admin.nodes:app",
    "health": "kannon.cli.admin.health:app",
    "doctor": "kannon.cli.doctor.command:app",
}
"""Name → module and attribute: a typer application, or the function of a single command."""
PANELS = {
    "Run it": ("serve", "open", "check", "demo", "sandbox", "health", "nodes", "doctor"),
    "Send": ("domains", "keys", "templates", "send"),
    "What became of it": ("overview", "batches", "queue", "stats", "suppressions", "webhooks", "dead-letters", "audit"),
    "This machine": ("install", "uninstall", "backup", "restore", "secrets", "migrate", "version"),
}
"""The panels of the help. A command that stands in none is in a panel of its own at the end."""
RENAMED = {"parked": "dead-letters"}
"""Old name → new name. An old name still works, is not listed, and prints a note on standard error."""


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        placed = [name for names in PANELS.values() for name in names if name in COMMANDS]
        return placed + [name for name in COMMANDS if name not in placed]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        name = RENAMED.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(name)(function)
        command: Any = typer.main.get_command(found)
        command.name = name
        command.rich_help_panel = next((panel for panel, names in PANELS.items() if name in names), None)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in RENAMED and not ctx.resilient_parsing:  # click parses resiliently for shell completion
            note = f"kannon: kannon {args[0]} is now kannon {RENAMED[args[0]]}; the old name will be removed"
            typer.echo(note, err=True)
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **more: Any) -> Any:  # type: ignore[override]
        """Wrong usage is one line, not the parser's box."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **more)
        try:
            code = super().main(args, standalone_mode=False, **more)
        except UsageError as error:
            typer.echo(describe_usage_error(error, self._path(sys.argv[1:] if args is None else args)), err=True)
            sys.exit(USAGE)
        except typer.Abort:
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)

    def _path(self, words: Sequence[str]) -> str:
        """The command that these words name, as far as there is one."""
        path = "kannon"
        group: Any = self
        for word in words:
            found = group.get_command(None, word) if hasattr(group, "get_command") else None
            if found is None:
                break
            path, group = f"{path} {word}", found
        return path


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
    app(prog_name="kannon")
