"""Tokens in the pixel, the links and the unsubscribe link of a mail: JWTs signed with Ed25519 (RFC 7519, RFC 8037).

`TokenSigner.sign` returns a token as short as the format allows, since it is part of a URL. `parse_token` takes
untrusted text. It refuses everything that this module does not write: other algorithms and headers, claims that are
duplicate, missing or of another type. PyJWT's EdDSA signs and verifies; its JSON parser is laxer and slower.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from json.encoder import encode_basestring as _quote
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt.algorithms import OKPAlgorithm

from kannon.mail.message_id import anonymous_address, tracking_address
from kannon.mail.tracking import TrackingMode

MAX_TOKEN = 8192
UNSUBSCRIBE_TTL = timedelta(days=90)
"""At least so long an unsubscribe link works; tracking.token_ttl may be longer. Laws ask for 30 days."""
_MAX_VERIFIED = 2048
# The signature has 64 octets: its last character has only two significant bits, and the others must be zero.
_SHAPE = re.compile(r"([A-Za-z0-9_-]{1,256})\.([A-Za-z0-9_-]{1,8000})\.([A-Za-z0-9_-]{85}[AQgw])")
_EDDSA = OKPAlgorithm()
_KID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_BATCH_PREFIX = "msg_"
_HTTPS = "https:"


class Channel(StrEnum):
    """The `aud` claim, and the path on which a token is valid."""

    OPEN = "o"
    CLICK = "c"
    UNSUBSCRIBE = "u"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """An active row of stats_keys; plain data."""

    kid: str
    private_pem: str


class Claims(NamedTuple):
    """`email` is the recipient's address (identified, full), a pseudonym, or the shared anonymous address.
    `delivery_id` is 0 where it would identify the recipient. Times are whole seconds since 1970."""

    channel: Channel
    mode: TrackingMode
    domain: str
    message_id: str
    email: str
    issued: int
    expires: int
    delivery_id: int = 0
    url: str = ""


def generate_token_key() -> tuple[TokenKey, str]:
    """A new signing key, and its public key as PEM; `kid` is a fingerprint of the key."""
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    kid = base64.b32encode(hashlib.sha256(raw).digest()[:5]).decode("ascii").lower()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    return TokenKey(kid, private), public


@lru_cache(maxsize=64)
def _load_private_key(pem: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 private key")
    return key


class TokenSigner:
    """Signs with one key."""

    def __init__(self, key: TokenKey) -> None:
        self._key = _load_private_key(key.private_pem)
        self._header = _encode(f'{{"alg":"EdDSA","kid":{_quote(key.kid)}}}'.encode())

    def sign(self, claims: Claims) -> str:
        """The same claims and key always yield the same token (RFC 8032 signatures are deterministic)."""
        signed = self._header + b"." + _encode(_to_payload(claims).encode("utf-8", "replace"))
        return (signed + b"." + _encode(_EDDSA.sign(signed, self._key))).decode("ascii")


class UnverifiedToken(NamedTuple):
    """A well-formed token whose signature has not been checked."""

    kid: str
    signed: bytes
    payload: str
    signature: bytes


class TokenVerifier:
    """Verifies with one public key. It caches recent results, since proxies request the same pixel repeatedly.

    Raises ValueError if the key is no Ed25519 key.
    """

    def __init__(self, public_pem: str) -> None:
        key = load_pem_public_key(public_pem.encode("ascii"))
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("not an Ed25519 public key")
        self._key = key
        self._is_valid = lru_cache(maxsize=_MAX_VERIFIED)(self._verify)

    def verify(self, token: UnverifiedToken, channel: Channel, now: datetime) -> Claims | None:
        """The claims, or None for a forged or expired token, or one of another channel."""
        if not self._is_valid(token):
            return None
        try:
            claims = _from_payload(_from_json(_decode(token.payload).decode()))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return claims if claims.channel is channel and claims.expires > now.timestamp() else None

    def _verify(self, token: UnverifiedToken) -> bool:
        return _EDDSA.verify(token.signed, self._key, token.signature)


def parse_token(token: str) -> UnverifiedToken | None:
    """None for a malformed token. Needs no key, and hence no look-up."""
    match = _SHAPE.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if match is None:
        return None
    kid = _read_header(match[1])
    return UnverifiedToken(kid, token[: match.end(2)].encode("ascii"), match[2], _decode(match[3])) if kid else None


@lru_cache(maxsize=256)
def _read_header(encoded: str) -> str | None:
    try:
        header = _from_json(_decode(encoded).decode())
    except (ValueError, RecursionError):
        return None
    # RFC 7515 §4.1: with crit, jwk, jku or x5u the token itself would choose the key or the rules.
    if not isinstance(header, dict) or not header.keys() <= {"alg", "kid", "typ"} or header.get("alg") != "EdDSA":
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) and _KID.fullmatch(kid) else None


def _to_payload(claims: Claims) -> str:
    """JSON without an encoder: this runs for every link of every mail."""
    local, _, domain = claims.message_id.removeprefix(_BATCH_PREFIX).partition("@")
    if domain == claims.domain and claims.message_id.startswith(_BATCH_PREFIX):
        batch = f'"m":{_quote(f"{local}@{domain}")}'
    else:
        batch = f'"m":{_quote(claims.message_id)},"d":{_quote(claims.domain)}'
    if claims.mode is TrackingMode.ANONYMOUS:
        recipient = ""
    elif claims.mode is TrackingMode.PSEUDONYMOUS:
        recipient = f',"w":{_quote(claims.email.partition("@")[0])}'
    else:
        recipient = f',"w":{_quote(claims.email)},"i":{claims.delivery_id}'
    url = claims.url.removeprefix(_HTTPS) if claims.url.startswith(_HTTPS + "//") else claims.url
    target = f',"u":{_quote(url)}' if url else ""
    times = f'"exp":{claims.expires},"iat":{claims.issued}'
    return f'{{"aud":"{claims.channel}",{times},{batch},"t":{claims.mode:d}{recipient}{target}}}'


def _from_payload(payload: dict[str, Any]) -> Claims:
    """Raises ValueError, KeyError or TypeError for any form that `_to_payload` does not write."""
    mode, batch = TrackingMode(_number(payload["t"])), _text(payload["m"])
    domain = _text(payload["d"]) if "d" in payload else batch.partition("@")[2]
    if mode is TrackingMode.ANONYMOUS:
        email = anonymous_address(domain)
    elif mode is TrackingMode.PSEUDONYMOUS:
        email = tracking_address(_text(payload["w"]), domain)
    elif mode in (TrackingMode.IDENTIFIED, TrackingMode.FULL):
        email = _text(payload["w"])
    else:
        raise ValueError("token without a mode")
    channel = Channel(_text(payload["aud"]))
    url = _text(payload["u"]) if channel is Channel.CLICK else ""
    return Claims(
        channel=channel,
        mode=mode,
        domain=domain,
        message_id=batch if "d" in payload else _BATCH_PREFIX + batch,
        email=email,
        issued=_number(payload["iat"]),
        expires=_number(payload["exp"]),
        delivery_id=_number(payload.get("i", 0)),
        url=_HTTPS + url if url.startswith("//") else url,
    )


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise ValueError("a number is needed")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text is needed")
    return value


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 §4: parsers disagree about duplicate claims, so a token with one is refused."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError("duplicate claim")
        found[name] = value
    return found


_from_json = json.JSONDecoder(object_pairs_hook=_unique).decode


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
