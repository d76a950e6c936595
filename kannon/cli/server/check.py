"""`kannon check`: reads the configuration and prints what is in force, secrets struck out."""

import json
from typing import Any

import typer
from pydantic import SecretStr

from kannon.cli.errors import operator_faults
from kannon.cli.options import ConfigOption
from kannon.config import Config, load_config, show_duration, show_size
from kannon.hostname import name_host


def check(config: ConfigOption = None) -> None:
    """Check the configuration and print what is in force."""
    with operator_faults():
        typer.echo(render(name_host(load_config(config))), nl=False)


def render(config: Config) -> str:
    """As TOML that `load_config` reads back, but for the secrets."""
    values = config.model_dump()
    top = [f"{key} = {_value(key, value)}" for key, value in values.items() if not isinstance(value, dict)]
    parts = ["\n".join(top)]
    for name, section in values.items():
        if isinstance(section, dict):
            parts.append(_table(name, section))
    return "\n\n".join(parts) + "\n"


def _table(name: str, section: dict[str, Any]) -> str:
    lines = [f"[{name}]"]
    tables: list[str] = []
    for key, value in section.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for entry in value:
                inner = [f"{k} = {_value(k, v)}" for k, v in entry.items()]
                tables.append("\n".join([f"[[{name}.{key}]]", *inner]))
        else:
            lines.append(f"{key} = {_value(key, value)}")
    return "\n\n".join(["\n".join(lines), *tables])


def _value(key: str, value: object) -> str:
    if isinstance(value, SecretStr):
        return '"***"' if value.get_secret_value() else '""'
    if hasattr(value, "total_seconds"):
        return json.dumps(show_duration(value))  # type: ignore[arg-type]  # a timedelta
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and key.endswith("bytes"):
        return json.dumps(show_size(value))
    if isinstance(value, int | float | list):
        return json.dumps(value)
    return json.dumps(_struck(str(value)))


def _struck(text: str) -> str:
    """A URL's password is a secret too."""
    scheme, separator, rest = text.partition("://")
    userinfo, at, host = rest.rpartition("@")
    if separator and at and ":" in userinfo:
        return f"{scheme}://{userinfo.split(':', 1)[0]}:***@{host}"
    return text
