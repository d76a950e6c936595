"""Whether a chain that an ACME server has issued is the certificate that was ordered.

In: the chain, the name, the key. Out: when the certificate becomes due for renewal and when it expires; AcmeProblem for
anything else, since the server may be wrong, or not the one it should be.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

MAX_CHAIN: Final = 64 << 10
MAX_CERTIFICATES: Final = 10
_SKEW: Final = timedelta(hours=1)


class AcmeProblem(Exception):
    """One line for the log. `rate_limited`: the server asks for patience."""

    def __init__(self, problem: str, *, rate_limited: bool = False) -> None:
        super().__init__(" ".join(problem.split())[:500])
        self.rate_limited = rate_limited


@dataclass(frozen=True, slots=True)
class Validity:
    begin: datetime
    end: datetime

    @property
    def renew_at(self) -> datetime:
        """Two thirds of its life."""
        return self.begin + (self.end - self.begin) * 2 / 3


def check_issued(name: str, chain: str, private_key: str, now: datetime) -> Validity:
    """Raises AcmeProblem."""
    if len(chain) > MAX_CHAIN:
        raise AcmeProblem(f"{name}: the chain has {len(chain)} bytes")
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
        key = load_pem_private_key(private_key.encode(), None)
        leaf = certificates[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ours = leaf.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
    except (ValueError, IndexError, x509.ExtensionNotFound) as error:
        raise AcmeProblem(f"{name}: what was issued is not a certificate for it: {error}") from None
    found = [each.lower() for each in names.get_values_for_type(x509.DNSName)]
    if found != [name]:
        raise AcmeProblem(f"{name}: the certificate is for {', '.join(found) or 'no name'}")
    if not ours:
        raise AcmeProblem(f"{name}: the certificate is for another key")
    if leaf.not_valid_before_utc > now + _SKEW or leaf.not_valid_after_utc <= now:
        raise AcmeProblem(
            f"{name}: the certificate is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}"
        )
    if len(certificates) > MAX_CERTIFICATES:
        raise AcmeProblem(f"{name}: the chain has {len(certificates)} certificates")
    try:
        for issued, issuer in pairwise(certificates):
            issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise AcmeProblem(f"{name}: the chain is broken: {error}") from None
    return Validity(leaf.not_valid_before_utc, leaf.not_valid_after_utc)
