"""Reads the configuration: a TOML file, variables, secrets in files of their own. The one place that knows them.

In: a TOML file (named, or ./kannon.toml, or /etc/kannon/kannon.toml, or none) and environment variables such as
KANNON_SENDER__HOSTNAME for sender.hostname, which win over the file. Secrets may come in files named by their key, in
CREDENTIALS_DIRECTORY; they win over the file, too. Out: `Config`, or all faults at once, each with its key.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from kannon.config.model import ENV_PREFIX, Config
from kannon.errors import ConfigError

CLIENT_VARIABLES = frozenset(
    {"KANNON_CONFIG", "KANNON_SERVER", "KANNON_TOKEN", "KANNON_CA", "KANNON_KEY", "KANNON_RUNTIME_DIR"}
)
"""Read by the command line and by the single executable's launcher, not part of the model."""
_SERVICE_LINK = re.compile(r"(_\w+?)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_PORT = re.compile(r"(tcp|udp|sctp)://")
CREDENTIAL_PREFIX = "kannon_"
"""What systemd makes of `LoadCredential=kannon:<folder>`: the name, an underscore, and a file's name in the folder."""
PLACES = (Path("kannon.toml"), Path("/etc/kannon/kannon.toml"))


def load_config(path: Path | None = None) -> Config:
    """Reads `path` (or the first of PLACES that exists) and the environment. Raises ConfigError naming every fault."""
    faults = _unknown_variables(os.environ)
    values: dict[str, Any] = {}
    file = path or next((place for place in PLACES if place.is_file()), None)
    if file is not None:
        values = _read_toml(file)
    try:
        config = Config(**_over(values, _read_credentials(os.environ)))
    except ValidationError as error:
        faults += [_fault(dict(e)) for e in error.errors()]
    except SettingsError as error:
        faults.append(f"environment: {error}")
    if faults:
        raise ConfigError("\n".join(f"configuration: {fault}" for fault in faults))
    return config


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration: {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration: {file}: not TOML: {error}") from None


def _read_credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    """Secrets from files, such as systemd's LoadCredential= and containers hand over: `kannon_api.admin_token`."""
    values: dict[str, Any] = {}
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for file in sorted(Path(folder).glob(f"{CREDENTIAL_PREFIX}*")) if folder else ():
        path = file.name.removeprefix(CREDENTIAL_PREFIX).split(".")
        try:
            value: Any = file.read_text(encoding="utf-8").strip()
            if value.startswith("["):
                value = tomllib.loads(f"x = {value}")["x"]
            for key in reversed(path):
                value = {key: value}
        except OSError as error:
            raise ConfigError(f"configuration: {file}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration: {file}: neither a text nor a TOML array: {error}") from None
        values = _over(values, value)
    return values


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, table by table; what both have is taken from `above`."""
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _over(below[key], above[key])
    return merged


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {f"{ENV_PREFIX}{name}".upper() for name in Config.model_fields}
    return [
        f"{name}: unknown variable"
        for name, value in sorted(environ.items())
        if name.upper().startswith(ENV_PREFIX)
        and name not in CLIENT_VARIABLES
        and name.upper().split("__", 1)[0] not in known
        and not _is_service_link(name, value)
    ]


def _is_service_link(name: str, value: str) -> bool:
    """What Kubernetes gives every pod beside a Service named kannon, or kannon-something (`enableServiceLinks`). Only
    the value distinguishes KANNON_SMTP_PORT of such a Service from a misspelled key."""
    if name.endswith("_PORT") and _SERVICE_PORT.match(value):
        return True
    return _SERVICE_LINK.fullmatch(name.removeprefix(ENV_PREFIX.rstrip("_"))) is not None


def _fault(error: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in error["loc"])
    problem = "unknown key" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return f"{path}: {problem}" if path else problem
