"""Secrets in files: `<key>_file` beside each secret key, and the files that other users can read.

In: the path that a key names. Out: its one line, as the value of the secret. Or a configuration: the files that hold
one of its secrets in sight of every user. The files that systemd or a container's engine provides are left out: their
mode is not the operator's.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationInfo

if TYPE_CHECKING:
    from kannon.config.model import Config


def check_secret_file(path: str) -> str:
    """Raises ValueError if `path` is given and holds no secret."""
    if path:
        _read(path)
    return path


def secret_or_file(value: object, info: ValidationInfo) -> object:
    """The value of a secret key, from the file where `<key>_file` names one."""
    name = f"{info.field_name}_file"
    path = info.data.get(name)
    if not path:
        return value
    if value:
        raise ValueError(f"also in {name}: keep one of the two")
    return _read(path)


def _read(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text") from None
    if not text:
        raise ValueError(f"{path}: the file is empty")
    if "\n" in text:
        raise ValueError(f"{path}: more than one line")
    return text


def find_exposed_secrets(file: Path | None, config: "Config") -> list[str]:
    """A warning for each file that holds a secret and that every user can read. `file` is the TOML file, or None."""
    held: dict[Path, list[str]] = {}
    for key, secret, path in _secrets(config):
        if path and not _is_provided(Path(path)):
            held.setdefault(Path(path), []).append(key)
        elif secret and not path and file is not None and _is_written(secret, file):
            held.setdefault(file, []).append(key)
    return [
        f"{path} holds {', '.join(keys)} and every user can read it: chmod 0640 {path}"
        for path, keys in held.items()
        if _is_exposed(path)
    ]


def _secrets(config: "Config") -> Iterator[tuple[str, str, str]]:
    """Key, secret (empty: none), and the file that the key names instead."""
    yield "master_key", config.master_key.get_secret_value(), config.master_key_file
    yield "api.admin_token", config.api.admin_token.get_secret_value(), config.api.admin_token_file
    yield "api.viewer_token", config.api.viewer_token.get_secret_value(), config.api.viewer_token_file
    for name, section in (("postgres", config.postgres), ("nats", config.nats)):
        yield f"{name}.url", _passwords(section.url), section.url_file
    for number, route in enumerate(config.sender.routes):
        yield f"sender.routes.{number}.password", route.password.get_secret_value(), route.password_file


def _passwords(urls: str) -> str:
    """Of a URL, or several separated by commas."""
    return "".join(urlsplit(url.strip()).password or "" for url in urls.split(","))


def _is_written(secret: str, file: Path) -> bool:
    """A variable or a credential may have overridden the file."""
    try:
        return secret in file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _is_provided(path: Path) -> bool:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and path.is_relative_to(str(folder))


def _is_exposed(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
