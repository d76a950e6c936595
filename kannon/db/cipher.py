"""The master keys that a process has, and which of them encrypts.

In: keys from the configuration or data_dir, and, once the database is read, the id of the active one. Out: encrypted
and decrypted secrets for the modules beside this file. A secret that is not encrypted yet is read as it is.
"""

import os
from collections.abc import Callable, Sequence

from kannon.errors import Unavailable
from kannon.mail.master_key import NONCE_BYTES, MasterKey, SecretDamaged, is_encrypted, key_id

MasterKeySource = Callable[[], Sequence[MasterKey]]
"""Reads the keys anew. Blocks for the time that a small file takes. Raises OperatorError."""


class Cipher:
    """Shared by all tasks of a process. `source` is asked again when a key is missing: another process may have added
    one to the file."""

    def __init__(self, source: MasterKeySource = tuple) -> None:
        self._source = source
        self._keys: dict[str, MasterKey] = {}
        self._active = ""

    @property
    def active(self) -> str:
        """The id of the key that encrypts; empty until `activate`."""
        return self._active

    def load(self) -> Sequence[str]:
        """The ids of all keys, in their order. Raises OperatorError."""
        self._keys = {key.id: key for key in self._source()}
        return list(self._keys)

    def activate(self, key: str) -> None:
        """This key encrypts from now on. The caller has seen it in `load`."""
        self._active = key

    def encrypt(self, secret: str, place: str) -> str:
        """`place` names the purpose and the row. Raises Unavailable until `activate`."""
        if not self._active:
            raise Unavailable("the master key is not loaded yet")
        return self._keys[self._active].encrypt(secret, place, os.urandom(NONCE_BYTES))

    def decrypt(self, stored: str, place: str) -> str:
        """Raises Unavailable where the key is missing, SecretDamaged."""
        if not is_encrypted(stored):
            return stored
        wanted = key_id(stored)
        if not wanted:
            raise SecretDamaged(f"{place}: not an encrypted secret")
        if wanted not in self._keys:
            self.load()
        if (key := self._keys.get(wanted)) is None:
            raise Unavailable(f"{place} is encrypted with master key {wanted}, which this node does not have")
        return key.decrypt(stored, place)
