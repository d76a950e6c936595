"""Tokens in the pixel, the links and the unsubscribe link of a mail: JWTs (RFC 7519) with an HMAC (RFC 7518 §3.2).

`TokenSigner.sign` returns a token as short as the format allows, since it is part of a URL, and is called for every
link of every mail: an Ed25519 signature costs twenty times as much as an HMAC. A process that verifies could sign too;
it belongs to the same server. `parse_token` takes untrusted text. It refuses everything that this module does not
write: other algorithms and headers, and claims that `token_claims` does not write. PyJWT's algorithms sign and verify;
its JSON parser is laxer and slower.

Earlier versions signed with Ed25519 (EdDSA, RFC 8037); their tokens are verified until they expire.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring as _quote
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import HMACAlgorithm, OKPAlgorithm

from kannon.mail.token_claims import Channel, Claims, from_json, make_payload, parse_payload

MAX_TOKEN = 8192
UNSUBSCRIBE_TTL = timedelta(days=90)
"""At least so long an unsubscribe link works; tracking.token_ttl may be longer. Laws ask for 30 days."""
_MAX_VERIFIED = 2048
# 43 characters are an HMAC of 32 octets, 86 a signature of 64. The last character has four, or two, significant bits;
# the others must be zero.
_SHAPE = re.compile(
    r"([A-Za-z0-9_-]{1,256})\.([A-Za-z0-9_-]{1,8000})\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|[A-Za-z0-9_-]{85}[AQgw])"
)
_KID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HS256, _EDDSA = HMACAlgorithm(HMACAlgorithm.SHA256), OKPAlgorithm()
_SIGNATURE_OCTETS = {"HS256": 32, "EdDSA": 64}
_SECRET = b"kannon tracking tokens, HS256"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """An active row of stats_keys; plain data."""

    kid: str
    private_pem: str


def generate_token_key() -> tuple[TokenKey, str]:
    """A new signing key, and its public key as PEM; `kid` is a fingerprint of the key."""
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    kid = base64.b32encode(hashlib.sha256(raw).digest()[:5]).decode("ascii").lower()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    return TokenKey(kid, private), public


@lru_cache(maxsize=64)
def _load(pem: str) -> tuple[Ed25519PrivateKey, bytes]:
    """The private key, and the secret of HMACs that is derived from it (RFC 5869)."""
    key = load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 private key")
    return key, HKDF(SHA256(), 32, salt=None, info=_SECRET).derive(key.private_bytes_raw())


class TokenSigner:
    """Signs with one key."""

    def __init__(self, key: TokenKey) -> None:
        _, self._secret = _load(key.private_pem)
        self._header = _encode(f'{{"alg":"HS256","kid":{_quote(key.kid)}}}'.encode())

    def sign(self, claims: Claims) -> str:
        """The same claims and key always yield the same token."""
        signed = self._header + b"." + _encode(make_payload(claims).encode("utf-8", "replace"))
        return (signed + b"." + _encode(_HS256.sign(signed, self._secret))).decode("ascii")


class UnverifiedToken(NamedTuple):
    """A well-formed token whose signature has not been checked."""

    kid: str
    algorithm: str
    signed: bytes
    payload: str
    signature: bytes


class TokenVerifier:
    """Verifies with one key. It caches recent results, since proxies request the same pixel repeatedly.

    Raises ValueError if the key is no Ed25519 key.
    """

    def __init__(self, private_pem: str) -> None:
        key, self._secret = _load(private_pem)
        self._public_key = key.public_key()
        self._is_valid = lru_cache(maxsize=_MAX_VERIFIED)(self._verify)

    def verify(self, token: UnverifiedToken, channel: Channel, now: datetime) -> Claims | None:
        """The claims, or None for a forged or expired token, or one of another channel."""
        claims = parse_payload(_decode(token.payload)) if self._is_valid(token) else None
        if claims is None or claims.channel is not channel or claims.expires <= now.timestamp():
            return None
        return claims

    def _verify(self, token: UnverifiedToken) -> bool:
        if token.algorithm == "HS256":
            return _HS256.verify(token.signed, self._secret, token.signature)
        return _EDDSA.verify(token.signed, self._public_key, token.signature)


def parse_token(token: str) -> UnverifiedToken | None:
    """None for a malformed token. Needs no key, and hence no look-up."""
    match = _SHAPE.fullmatch(token) if len(token) <= MAX_TOKEN else None
    header = _read_header(match[1]) if match is not None else None
    if match is None or header is None:
        return None
    kid, algorithm = header
    signature = _decode(match[3])
    if len(signature) != _SIGNATURE_OCTETS[algorithm]:
        return None
    return UnverifiedToken(kid, algorithm, token[: match.end(2)].encode("ascii"), match[2], signature)


@lru_cache(maxsize=256)
def _read_header(encoded: str) -> tuple[str, str] | None:
    """`kid` and `alg`."""
    try:
        header = from_json(_decode(encoded).decode())
    except (ValueError, RecursionError):
        return None
    # RFC 7515 §4.1: with crit, jwk, jku or x5u the token itself would choose the key or the rules.
    if not isinstance(header, dict) or not header.keys() <= {"alg", "kid", "typ"}:
        return None
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _SIGNATURE_OCTETS:
        return None
    return (kid, algorithm) if isinstance(kid, str) and _KID.fullmatch(kid) else None


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
