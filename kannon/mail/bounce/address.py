"""The bounce address: the return path of every mail, and the only address of a tenant's domain that accepts reports.

`b-<56 hexadecimal digits>@<domain>`: one AES block that holds the delivery's id and the expiry, and an HMAC over it and
the domain. It cannot be forged, identifies the delivery without a look-up, and shows a reader neither how many
deliveries the server made nor when. All attempts of one delivery use the same address, as greylisting requires.
"""

import hmac
import re
import struct
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_NUMBERS = struct.Struct(">QI")  # delivery id, expiry in seconds since 1970 (until 2106)
_LAST_EXPIRY = (1 << 32) - 1
_BLOCK = 16
_PADDING = bytes(_BLOCK - _NUMBERS.size)
_MAC_OCTETS = 12  # HMAC-SHA-256-96
_BARE_MAC_OCTETS = 16
_LOCAL = re.compile(r"b-[0-9a-f]{56}")  # of the 64 octets that RFC 5321 §4.5.3.1.1 allows


def make_bounce_address(delivery_id: int, domain: str, secret: bytes, expires: datetime) -> str:
    numbers = _NUMBERS.pack(delivery_id, min(int(expires.timestamp()), _LAST_EXPIRY))
    block = _cipher(secret).encryptor().update(numbers + _PADDING)
    return f"b-{(block + _mac(block, domain, secret)).hex()}@{domain}"


def parse_bounce_address(local: str, domain: str, secrets: Sequence[bytes], now: datetime) -> int | None:
    """The delivery's id, or None for an address that is forged, expired, or no bounce address.

    Letter case does not matter, since servers in transit may change it.
    """
    if not local.isascii() or not _LOCAL.fullmatch(local.lower()):
        return None
    raw, domain = bytes.fromhex(local[2:]), domain.lower()
    for secret in secrets:
        numbers = _open(raw, domain, secret)
        if numbers is not None:
            delivery_id, expires = _NUMBERS.unpack(numbers)
            return int(delivery_id) if expires > now.timestamp() else None
    return None


def _open(raw: bytes, domain: str, secret: bytes) -> bytes | None:
    """The numbers in an address that was signed with this secret."""
    block, mac = raw[:_BLOCK], raw[_BLOCK:]
    if hmac.compare_digest(mac, _mac(block, domain, secret)):
        return _cipher(secret).decryptor().update(block)[: _NUMBERS.size]
    # The earlier form, with the bare numbers: in mails that are out, and valid until they expire.
    numbers, mac = raw[: _NUMBERS.size], raw[_NUMBERS.size :]
    if hmac.compare_digest(
        mac, _digest(b"kannon bounce address\0" + numbers + domain.encode(), secret)[:_BARE_MAC_OCTETS]
    ):
        return numbers
    return None


@lru_cache(maxsize=16)
def _cipher(secret: bytes) -> Cipher[modes.ECB]:
    """A permutation of single blocks, of which no two are equal: the one use that ECB is right for."""
    return Cipher(algorithms.AES(_digest(b"kannon bounce address: encryption", secret)), modes.ECB())  # noqa: S305


def _mac(block: bytes, domain: str, secret: bytes) -> bytes:
    return _digest(b"kannon bounce address: block\0" + block + domain.encode(), secret)[:_MAC_OCTETS]


def _digest(data: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, data, "sha256")
