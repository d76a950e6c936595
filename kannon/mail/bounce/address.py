"""The bounce address: the return path of every mail, and the only address of a tenant's domain that accepts reports.

`b-<56 hexadecimal digits>@<domain>`: the delivery's id, the expiry, and an HMAC over both and the domain. It cannot be
forged, and identifies the delivery without a look-up. All attempts of one delivery use the same address, as
greylisting requires.
"""

import hmac
import re
import struct
from collections.abc import Sequence
from datetime import datetime

_NUMBERS = struct.Struct(">QI")  # delivery id, expiry in seconds since 1970 (until 2106)
_LAST_EXPIRY = (1 << 32) - 1
_MAC_OCTETS = 16
_LOCAL = re.compile(r"b-[0-9a-f]{56}")  # of the 64 octets that RFC 5321 §4.5.3.1.1 allows


def make_bounce_address(delivery_id: int, domain: str, secret: bytes, expires: datetime) -> str:
    numbers = _NUMBERS.pack(delivery_id, min(int(expires.timestamp()), _LAST_EXPIRY))
    return f"b-{(numbers + _mac(numbers, domain, secret)).hex()}@{domain}"


def parse_bounce_address(local: str, domain: str, secrets: Sequence[bytes], now: datetime) -> int | None:
    """The delivery's id, or None for an address that is forged, expired, or no bounce address.

    Letter case does not matter, since servers in transit may change it.
    """
    if not local.isascii() or not _LOCAL.fullmatch(local.lower()):
        return None
    raw = bytes.fromhex(local[2:])
    numbers, mac = raw[: _NUMBERS.size], raw[_NUMBERS.size :]
    genuine = [secret for secret in secrets if hmac.compare_digest(mac, _mac(numbers, domain.lower(), secret))]
    delivery_id, expires = _NUMBERS.unpack(numbers)
    if not genuine or expires <= now.timestamp():
        return None
    return int(delivery_id)


def _mac(numbers: bytes, domain: str, secret: bytes) -> bytes:
    return hmac.digest(secret, b"kannon bounce address\0" + numbers + domain.encode(), "sha256")[:_MAC_OCTETS]
