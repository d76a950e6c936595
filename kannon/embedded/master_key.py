"""The master keys of this node: those of the configuration, else those in data_dir/master_key, which Kannon generates.

The file has one key a line; the first is the newest. Former ones stay in it, since earlier backups need them.
Raises OperatorError where it cannot be read, or holds something else.
"""

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from kannon.config import Config
from kannon.embedded.data_dir import write_private
from kannon.errors import OperatorError
from kannon.mail.master_key import KEY_BYTES, MasterKey, parse_master_keys, show_master_key

FILE: Final = "master_key"


def master_key_source(config: Config, data_dir: Path) -> Callable[[], Sequence[MasterKey]]:
    """Reads the configuration's keys, or the file's; the latter anew at each call."""
    if given := config.master_key.get_secret_value():
        keys = parse_master_keys(given)
        return lambda: keys
    return partial(read_master_keys, data_dir)


def read_master_keys(data_dir: Path) -> Sequence[MasterKey]:
    """Empty where there is no file."""
    file = data_dir / FILE
    try:
        return parse_master_keys(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise OperatorError(f"{file} is damaged: each line must be 32 bytes in base64; take it from a copy") from None


def add_master_key(data_dir: Path) -> MasterKey:
    """Generates a key and writes it before those that the file has."""
    file = data_dir / FILE
    former = file.read_text(encoding="ascii") if read_master_keys(data_dir) else ""
    text = generate_master_key()
    try:
        write_private(file, f"{text}\n{former}")
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror}") from None
    return parse_master_keys(text)[0]


def generate_master_key() -> str:
    return show_master_key(secrets.token_bytes(KEY_BYTES))
