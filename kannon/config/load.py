"""Reads the configuration from a TOML file, environment variables and secret files.

In: a TOML file (the given one, else ./kannon.toml, else /etc/kannon/kannon.toml, else none), variables such as
KANNON_SENDER__HOSTNAME for sender.hostname, and files in CREDENTIALS_DIRECTORY, each named after its key. Variables
override secret files, which override the TOML file. Out: `Config`, or one error with all problems, each with its key.
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
"""The command line and the launcher of the single executable read these. They are not part of the model."""
_SERVICE_LINK = re.compile(r"(_\w+?)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_PORT = re.compile(r"(tcp|udp|sctp)://")
CREDENTIAL_PREFIX = "kannon_"
"""systemd names the files of `LoadCredential=kannon:<folder>` kannon_<file in the folder>."""
PATHS = (Path("kannon.toml"), Path("/etc/kannon/kannon.toml"))


def load_config(path: Path | None = None) -> Config:
    """Reads `path` (or the first of PATHS that exists) and the environment. Raises ConfigError with every problem."""
    problems = _unknown_variables(os.environ)
    values: dict[str, Any] = {}
    file = find_config(path)
    if file is not None:
        values = _read_toml(file)
    try:
        config = Config(**_merge(values, _read_credentials(os.environ)))
    except ValidationError as error:
        problems += [_problem(dict(e)) for e in error.errors()]
    except SettingsError as error:
        problems.append(f"environment: {error}")
    if problems:
        raise ConfigError("\n".join(f"configuration: {each}" for each in problems))
    return config


def find_config(path: Path | None = None) -> Path | None:
    """The file that `load_config` reads: `path`, or the first of PATHS that exists."""
    return path or next((path for path in PATHS if path.is_file()), None)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except PermissionError:
        hint = "run this as root or as the user kannon; client commands can use --server and --token instead"
        raise ConfigError(f"configuration: {file}: Permission denied: {hint}") from None
    except OSError as error:
        raise ConfigError(f"configuration: {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration: {file}: not TOML: {error}") from None


def _read_credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    """Secrets from files such as `kannon_api.admin_token`, which systemd's LoadCredential= and containers provide."""
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
            raise ConfigError(f"configuration: {file}: neither text nor a TOML array: {error}") from None
        values = _merge(values, value)
    return values


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merges two tables and their subtables. A key in both has the value of `above`."""
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merge(below[key], above[key])
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
    """Kubernetes sets these variables in every pod beside a Service named kannon or kannon-something
    (`enableServiceLinks`). Only the value distinguishes KANNON_SMTP_PORT of such a Service from a misspelled key."""
    if name.endswith("_PORT") and _SERVICE_PORT.match(value):
        return True
    return _SERVICE_LINK.fullmatch(name.removeprefix(ENV_PREFIX.rstrip("_"))) is not None


def _problem(error: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in error["loc"])
    problem = "unknown key" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return f"{path}: {problem}" if path else problem
