"""`kannon version`: the same as `kannon --version`."""

import typer

from kannon import __version__


def version() -> None:
    """Print the version."""
    typer.echo(f"kannon {__version__}")
