"""A master key for tests, and a Cipher that has it."""

from typing import Final

from kannon.db.cipher import Cipher
from kannon.mail.master_key import parse_master_keys

MASTER_KEY: Final = "11" * 32


def make_cipher(keys: str = MASTER_KEY) -> Cipher:
    """The first of these keys is active."""
    parsed = parse_master_keys(keys)
    cipher = Cipher(lambda: parsed)
    cipher.load()
    cipher.activate(parsed[0].id)
    return cipher
