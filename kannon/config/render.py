"""A configuration as the TOML of every key with the value in force; secrets are masked."""

import json
from typing import Any

from kannon.config.model import Config


def render(config: Config) -> str:
    """TOML that `load_config` reads back, except for the secrets."""
    values = config.model_dump(mode="json")
    top = [f"{key} = {_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    tables = [_table(name, section) for name, section in values.items() if isinstance(section, dict)]
    return "\n\n".join(["\n".join(top), *tables]) + "\n"


def _table(name: str, section: dict[str, Any]) -> str:
    lines = [f"[{name}]"]
    tables: list[str] = []
    for key, value in section.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for entry in value:
                inner = [f"{k} = {_value(v)}" for k, v in entry.items()]
                tables.append("\n".join([f"[[{name}.{key}]]", *inner]))
        else:
            lines.append(f"{key} = {_value(value)}")
    return "\n\n".join(["\n".join(lines), *tables])


def _value(value: object) -> str:
    return json.dumps(_mask_password(value) if isinstance(value, str) else value, ensure_ascii=False)


def _mask_password(text: str) -> str:
    """The password in a URL is a secret too."""
    scheme, separator, rest = text.partition("://")
    userinfo, at, host = rest.rpartition("@")
    if separator and at and ":" in userinfo:
        return f"{scheme}://{userinfo.split(':', 1)[0]}:***@{host}"
    return text
