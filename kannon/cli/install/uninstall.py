"""`kannon uninstall`: removes what `kannon install` installed, except the operator's files.

In: a machine with or without an installed Kannon. Out: the service stopped, and program, unit and manual pages removed.
Configuration, credentials, data and user stay, and the last line names them. A second run changes nothing.
"""

import shutil
from pathlib import Path

import typer

from kannon.cli.errors import operator_errors
from kannon.cli.install.install import RootOption, check_root, systemd_runs
from kannon.cli.install.install_paths import ACCOUNT, InstallPaths, run
from kannon.errors import OperatorError


def uninstall(root: RootOption = Path("/")) -> None:
    """Remove the service. Configuration and data stay."""
    with operator_errors():
        paths = InstallPaths(root.absolute())
        try:
            _uninstall(paths)
        except OSError as error:
            raise OperatorError(f"{error.filename or paths.root} cannot be removed: {error.strerror}") from None


def _uninstall(paths: InstallPaths) -> None:
    check_root(paths)
    if paths.unit.exists() and systemd_runs(paths):
        run("systemctl", "disable", "--now", "kannon")
        typer.echo("stopped the service")
    for file in (paths.unit, paths.command, *paths.manuals.values()):
        if file.is_symlink() or file.exists():
            file.unlink()
            typer.echo(f"removed {file}")
    if paths.program.exists():
        shutil.rmtree(paths.program)
        typer.echo(f"removed {paths.program}")
    if systemd_runs(paths):
        run("systemctl", "daemon-reload")
    kept = [str(path) for path in (paths.config.parent, paths.data_dir) if path.exists()]
    if kept:
        typer.echo(f"kept {', '.join(kept)} and the user {ACCOUNT}: remove them by hand if you no longer need them")
