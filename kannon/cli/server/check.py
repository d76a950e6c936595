"""`kannon check`: reads the configuration, checks it, and prints it with its defaults; secrets print as ***."""

from collections.abc import Collection

import typer

from kannon.cli.errors import operator_errors
from kannon.cli.options import ConfigOption
from kannon.config import Config, check_tls_files, find_config, find_warnings, load_config
from kannon.config.render import render
from kannon.errors import ConfigError
from kannon.hostname import name_host


def check(config: ConfigOption = None) -> None:
    """Check the configuration and print every key with the value in force."""
    with operator_errors():
        settings = name_host(load_config(config))
        check_tls_files(settings, settings.components.enabled)
        check_master_key(settings, settings.components.enabled)
        for warning in find_warnings(find_config(config), settings):
            typer.echo(f"kannon: warning: {warning}", err=True)
        typer.echo(render(settings), nl=False)


def check_master_key(config: Config, enabled: Collection[str]) -> None:
    """Raises ConfigError where components of this node need a master key and there is none, OperatorError where the
    file is damaged. A key that differs from that of the database is found when the node starts."""
    from kannon.embedded.master_key import master_key_source

    if not master_key_source(config, config.data_dir.expanduser())() and config.postgres.url:
        from kannon.component_parts import Need
        from kannon.component_table import COMPONENTS
        from kannon.db.secrets import MISSING

        if any(entry.name in enabled and Need.MASTER_KEY in entry.needs for entry in COMPONENTS):
            raise ConfigError(f"configuration: {MISSING}")
