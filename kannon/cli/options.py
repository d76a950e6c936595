"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

SHARED = "Common options"
"""The panel of the options that many commands have."""

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="KANNON_CONFIG",
        help="Configuration file. Default: ./kannon.toml, else /etc/kannon/kannon.toml, else none.",
        show_default=False,
        rich_help_panel=SHARED,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=SHARED)]
UtcOption = Annotated[
    bool,
    typer.Option(
        "--utc",
        help="Print times in UTC. Default: relative times at a terminal, local times in a pipe.",
        rich_help_panel=SHARED,
    ),
]
