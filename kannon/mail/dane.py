"""TLSA records, and which certificates they match (RFC 6698, RFC 7671, RFC 7672). No I/O.

In: records of the DNS, and the certificates of a server in DER. Out: the records that SMTP may use, those that match a
certificate, and whether a certificate names a host. kannon.outbound.client.certificates verifies chains by these rules.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

DANE_TA: Final = 2
DANE_EE: Final = 3
CERTIFICATE, PUBLIC_KEY = 0, 1
EXACT, SHA256, SHA512 = 0, 1, 2
_DIGESTS = {SHA256: hashlib.sha256, SHA512: hashlib.sha512}
_DIGEST_BYTES = {SHA256: 32, SHA512: 64}


class Tlsa(NamedTuple):
    """A TLSA record (RFC 6698 §2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching}"


def is_usable(record: Tlsa) -> bool:
    """Whether SMTP can authenticate a server by it.

    RFC 7672 §3.1.3: the usages PKIX-TA(0) and PKIX-EE(1) are unusable with SMTP. RFC 7671 §10.1: neither are unknown
    parameters and malformed data.
    """
    if record.usage not in (DANE_TA, DANE_EE) or record.selector not in (CERTIFICATE, PUBLIC_KEY):
        return False
    if record.matching != EXACT:
        return len(record.data) == _DIGEST_BYTES.get(record.matching)
    try:
        x509.load_der_x509_certificate(record.data) if record.selector == CERTIFICATE else load_key(record.data)
    except ValueError:
        return False
    return True


def load_key(data: bytes) -> object:
    """A public key from its SubjectPublicKeyInfo. Raises ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        return load_der_public_key(data)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None


def usable_records(records: Collection[Tlsa]) -> tuple[Tlsa, ...]:
    """RFC 7671 §9: of the digests of one usage and selector, the strongest one counts."""
    usable = [each for each in dict.fromkeys(records) if is_usable(each)]
    strongest = {(each.usage, each.selector) for each in usable if each.matching == SHA512}
    return tuple(e for e in usable if e.matching != SHA256 or (e.usage, e.selector) not in strongest)


def matching_records(records: Sequence[Tlsa], usage: int, certificate: bytes) -> list[Tlsa]:
    """The records of this usage that match a certificate in DER. Raises ValueError for bytes that are none."""
    values: dict[tuple[int, int], bytes] = {}
    found = []
    for record in records:
        if record.usage != usage:
            continue
        form = record.selector, record.matching
        if form not in values:
            values[form] = record_value(certificate, *form)
        if record.data == values[form]:
            found.append(record)
    return found


def record_value(certificate: bytes, selector: int, matching: int) -> bytes:
    """What a record with this selector and matching type has as its data."""
    selected = certificate
    if selector == PUBLIC_KEY:
        key = x509.load_der_x509_certificate(certificate).public_key()
        selected = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return selected if matching == EXACT else _DIGESTS[matching](selected).digest()


def names_host(certificate: x509.Certificate, hosts: Collection[str]) -> bool:
    """RFC 7672 §3.2.3: a DNS name of the certificate, or the common name where it has none, is one of `hosts`."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    if not names:
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return any(matches_name(name, host) for name in names for host in hosts)


def matches_name(pattern: str, host: str) -> bool:
    """RFC 6125 §6.4: `*.example.com` stands for one label in place of the star."""
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        label, _, parent = host.partition(".")
        return bool(label) and parent == pattern[2:] and "." in parent
    return bool(host) and pattern == host
