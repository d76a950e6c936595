"""Identifiers and secrets: their formats, and their generation from random bytes.

In: a domain and random bytes (`secrets.token_bytes` of the caller). Out: text such as `msg_<24>@<domain>`. The random
bytes have far more bits than the text, so that the remainder has a bias below 2^-128.
"""

import re
import string

DRAW_BYTES = 64
"""The number of random bytes that each function below needs."""

_LOWER = string.ascii_lowercase + string.digits
_MIXED = string.ascii_letters + string.digits
_ID_LENGTH = 24
_SECRET_LENGTH = 64
PREFIX_LENGTH = 8
"""Characters of a secret that are stored in clear text, to tell keys apart."""

_TEMPLATE_ID = re.compile(r"template_[a-z0-9]{24}@([a-z0-9._-]{1,253})")
_KEY_ID = re.compile(r"key_[a-z0-9]{24}")


def batch_id(domain: str, draw: bytes) -> str:
    return f"msg_{_text(draw, _LOWER, _ID_LENGTH)}@{domain}"


def template_id(domain: str, draw: bytes) -> str:
    return f"template_{_text(draw, _LOWER, _ID_LENGTH)}@{domain}"


def api_key_id(draw: bytes) -> str:
    return f"key_{_text(draw, _LOWER, _ID_LENGTH)}"


def webhook_endpoint_id(draw: bytes) -> str:
    return f"whe_{_text(draw, _LOWER, _ID_LENGTH)}"


def api_key_secret(draw: bytes) -> str:
    return f"k_{_text(draw, _MIXED, _SECRET_LENGTH)}"


def mask(prefix: str) -> str:
    """The displayed form of a secret after its creation."""
    return prefix[:PREFIX_LENGTH] + "..."


def is_template_id(text: str) -> bool:
    return _TEMPLATE_ID.fullmatch(text) is not None


def is_api_key_id(text: str) -> bool:
    return _KEY_ID.fullmatch(text) is not None


def _text(draw: bytes, alphabet: str, length: int) -> str:
    if len(draw) < DRAW_BYTES:
        raise ValueError(f"{DRAW_BYTES} random bytes are needed")
    number = int.from_bytes(draw)
    characters = []
    for _ in range(length):
        number, index = divmod(number, len(alphabet))
        characters.append(alphabet[index])
    return "".join(characters)
