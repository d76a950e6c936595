"""DKIM signatures (RFC 6376; RSA by RFC 8301, Ed25519 by RFC 8463), relaxed/relaxed, and their keys.

In: canonical header fields and the hash of a canonical body. Out: the DKIM-Signature field. `cryptography` signs. The
layout of the field is dkimpy's, tag by tag and space by space, so that a test can compare the signature bit for bit.
There is no l= (it permits appended text) and no x=.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from kannon.mail.build.headers import FOLD, fold_words

RSA_SHA256 = "rsa-sha256"
ED25519_SHA256 = "ed25519-sha256"
OVERSIGNED = (
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "list-unsubscribe",
    "list-unsubscribe-post",
)
"""Listed once more than present: a field of that name, added in transit, breaks the signature (RFC 6376 §8.15)."""
_RSA_BITS = 2048  # RFC 8301 §3.2
PADDING = padding.PKCS1v15()
SHA256 = hashes.SHA256()


@dataclass(frozen=True, slots=True)
class DkimKey:
    """An active row of dkim_keys; plain data."""

    selector: str
    algorithm: str
    private_pem: str


def generate_dkim_key(algorithm: str = RSA_SHA256) -> tuple[str, str]:
    """(private key as PEM, public key as in the p= tag). Takes 0.1 s and more for RSA. Raises ValueError."""
    if algorithm == RSA_SHA256:
        rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        # RFC 6376 §3.6.1: SubjectPublicKeyInfo, the form that senders publish and verifiers read.
        public = rsa_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        private = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    elif algorithm == ED25519_SHA256:
        ed_key = Ed25519PrivateKey.generate()
        public = ed_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)  # RFC 8463 §4
        private = ed_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    else:
        raise ValueError(f"unknown DKIM algorithm {algorithm!r}")
    return private.decode("ascii"), base64.b64encode(public).decode("ascii")


@lru_cache(maxsize=1024)
def _load(pem: str) -> rsa.RSAPrivateKey | Ed25519PrivateKey:
    # OpenSSL's check of an RSA key costs as much as a hundred signatures. Kannon has made all of these keys itself.
    key = load_pem_private_key(pem.encode("ascii"), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("not an RSA or Ed25519 private key")
    return key


class DkimSigner:
    """One key of one domain. Raises ValueError if the key is not of its algorithm."""

    def __init__(self, key: DkimKey, domain: str) -> None:
        self._key = _load(key.private_pem)
        if isinstance(self._key, rsa.RSAPrivateKey) != (key.algorithm == RSA_SHA256):
            raise ValueError(f"the DKIM key of selector {key.selector} is not of algorithm {key.algorithm}")
        self._tags = (f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={domain};", f"i=@{domain}; q=dns/txt;")
        self._selector = f"s={key.selector};"

    def sign(self, headers: Sequence[tuple[str, bytes]], body_hash: bytes, at: datetime) -> bytes:
        """The field with its CRLF. `headers`: (name in lower case, canonical line without CRLF), in order."""
        signed, h_tag = _signed_fields(tuple([name for name, _ in headers]))
        value = FOLD.join(
            (
                *self._tags,
                f"{self._selector} t={int(at.timestamp())};",
                h_tag,
                f"bh={base64.b64encode(body_hash).decode('ascii')};",
                "b=",
            )
        )
        unsigned = f"DKIM-Signature: {value}".encode("ascii")
        # RFC 6376 §3.7: the signed fields, each with CRLF, then this field with an empty b= and without CRLF.
        data = (
            b"".join([headers[position][1] + b"\r\n" for position in signed])
            + b"dkim-signature:"
            + unsigned[16:].replace(b"\r\n", b"")
        )
        signature = base64.b64encode(self._raw_signature(data))
        folded = [signature[i : i + 72] for i in range(0, len(signature), 72)]
        return unsigned + b"\r\n ".join(folded) + b"\r\n"

    def _raw_signature(self, data: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, PADDING, SHA256)
        return self._key.sign(hashlib.sha256(data).digest())  # RFC 8463 §3: Ed25519 over the SHA-256


@lru_cache(maxsize=64)
def _signed_fields(present: tuple[str, ...]) -> tuple[list[int], str]:
    """The positions of the fields in the order of hashing, and the h= tag."""
    others = [name for name in present if name not in OVERSIGNED]
    names = [name for listed in OVERSIGNED for name in [listed] * (1 + present.count(listed))] + others
    positions: dict[str, list[int]] = {}
    for position, name in enumerate(present):
        positions.setdefault(name, []).append(position)
    # RFC 6376 §5.4.2: of several fields with one name the last is hashed first; a name beyond them adds nothing.
    signed = [left.pop() for name in names if (left := positions.get(name))]
    words = " : ".join(names).split(" ")
    return signed, fold_words(("h=" + words[0], *words[1:-1], words[-1] + ";"), column=1)
