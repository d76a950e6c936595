"""Master keys: each encrypts secrets so that they can be stored (AES-256-GCM, NIST SP 800-38D).

In: a secret, its place, which says what it is for and in which row it stands, and a nonce. Out: the text
`aes1.<key id>.<base64 of nonce and ciphertext>`. The place is authenticated: a text that is copied into another row
does not decrypt there. Text that does not begin with `aes1.` is not encrypted.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # 96 bits, random: safe for 2^32 secrets of one key
_PREFIX: Final = "aes1."
_STORED: Final = re.compile(r"aes1\.([0-9a-f]{12})\.([A-Za-z0-9+/]+=*)")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")


class SecretDamaged(ValueError):
    """The text was changed, or belongs to another row."""


@dataclass(frozen=True, slots=True, repr=False)
class MasterKey:
    """`id` is made from the key and does not reveal it."""

    id: str
    _cipher: AESGCM

    def encrypt(self, secret: str, place: str, nonce: bytes) -> str:
        """`nonce`: NONCE_BYTES random bytes, never used before with this key."""
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), place.encode())
        return f"{_PREFIX}{self.id}.{b64encode(sealed).decode()}"

    def decrypt(self, stored: str, place: str) -> str:
        """Raises SecretDamaged."""
        match = _STORED.fullmatch(stored)
        if match is None:
            raise SecretDamaged(f"{place}: not an encrypted secret")
        try:
            sealed = b64decode(match[2])
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise SecretDamaged(f"{place}: damaged, or copied from another row") from None


def is_encrypted(stored: str) -> bool:
    return stored.startswith(_PREFIX)


def key_id(stored: str) -> str:
    """Of the key that encrypted this text. Empty: it is damaged."""
    match = _STORED.fullmatch(stored)
    return match[1] if match else ""


def like_pattern(key: str) -> str:
    """For SQL's LIKE: what the key with this id has encrypted."""
    return f"{_PREFIX}{key}.%"


def show_master_key(key: bytes) -> str:
    """The text that `parse_master_keys` reads."""
    return b64encode(key).decode()


def parse_master_keys(text: str) -> tuple[MasterKey, ...]:
    """Several are separated by commas or spaces; a key is 32 bytes, as base64 or hexadecimal. Raises ValueError."""
    return tuple(_parse(word) for word in text.replace(",", " ").split())


def _parse(word: str) -> MasterKey:
    try:
        key = bytes.fromhex(word) if _HEX.fullmatch(word) else b64decode(word, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("32 random bytes in base64 are needed: kannon secrets generate prints them")
    return MasterKey(sha256(b"kannon master key id\0" + key).hexdigest()[:12], AESGCM(key))
