"""`kannon uninstall`: takes away what `kannon install` brought, and keeps what is the operator's.

In: a machine where Kannon is installed, or not any more. Out: program, unit and manual pages gone, the service stopped;
configuration, credentials, data and user stay, and how to remove them is said. It can be run again.
"""

import shutil
from pathlib import Path

import typer

from kannon.cli.errors import operator_errors
from kannon.cli.install.install import RootOption, check_root, systemd_runs
from kannon.cli.install.install_paths import ACCOUNT, InstallPaths, run
from kannon.errors import OperatorError


def uninstall(root: RootOption = Path("/")) -> None:
    """Remove the service; configuration and data stay."""
    with operator_errors():
        places = InstallPaths(root.absolute())
        try:
            _uninstall(places)
        except OSError as error:
            raise OperatorError(f"{error.filename or places.root} cannot be removed: {error.strerror}") from None


def _uninstall(places: InstallPaths) -> None:
    check_root(places)
    if places.unit.exists() and systemd_runs(places):
        run("systemctl", "disable", "--now", "kannon")
        typer.echo("stopped the service")
    for file in (places.unit, places.command, *places.manuals.values()):
        if file.is_symlink() or file.exists():
            file.unlink()
            typer.echo(f"removed {file}")
    if places.program.exists():
        shutil.rmtree(places.program)
        typer.echo(f"removed {places.program}")
    if systemd_runs(places):
        run("systemctl", "daemon-reload")
    kept = [str(place) for place in (places.config.parent, places.data_dir) if place.exists()]
    if kept:
        typer.echo(f"kept {', '.join(kept)} and the user {ACCOUNT}: remove them by hand if nobody needs them any more")
