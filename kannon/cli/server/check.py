"""`kannon check`: reads the configuration, checks it, and prints it with its defaults; secrets print as ***."""

import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import check_tls_files, find_config, find_warnings, load_config
from kannon.config.render import render
from kannon.hostname import name_host


def check(config: ConfigOption = None) -> None:
    """Check the configuration and print every key with the value in force."""
    with operator_errors():
        settings = name_host(load_config(config))
        check_tls_files(settings, settings.components.enabled)
        for warning in find_warnings(find_config(config), settings):
            typer.echo(f"kannon: warning: {warning}", err=True)
        typer.echo(render(settings), nl=False)
