"""`kannon version`."""

from importlib.metadata import version as installed_version

import typer


def version() -> None:
    """Print the version."""
    typer.echo(f"kannon {installed_version('kannon')}")
