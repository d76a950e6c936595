"""Authenticates a server by TLSA records: its certificate, or a chain to a certificate that they name (RFC 7671, 7672).

In: the certificates that the server presented, usable records, the names that the server may have. Out: None, or the
`Untrusted` that says why. OpenSSL verifies the chain, through pyOpenSSL, because the ssl module can neither trust a
certificate that is known only after the handshake nor verify a chain outside of one.
"""

import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kannon.mail.dane import (
    CERTIFICATE,
    DANE_EE,
    DANE_TA,
    EXACT,
    PUBLIC_KEY,
    Tlsa,
    load_key,
    matching_records,
    names_host,
)
from kannon.mail.tls_report import ResultType

MAX_CHAIN = 20  # certificates of a server that are looked at


@dataclass(frozen=True, slots=True)
class Untrusted:
    """Why a server is not authenticated."""

    result: ResultType
    reason: str


def peer_chain(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates that the server sent, its own first, in DER."""
    if sys.version_info >= (3, 13):
        return tls.get_unverified_chain()
    import _ssl

    chain = tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]  # public since Python 3.13
    return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in chain]


def authenticate(chain: Sequence[bytes], records: Sequence[Tlsa], names: Sequence[str]) -> Untrusted | None:
    """One record that authenticates the server is enough. `chain` is not empty."""
    try:
        # RFC 7672 §3.1.1: with DANE-EE(3) neither the names nor the dates of the certificate matter.
        if matching_records(records, DANE_EE, chain[0]):
            return None
        certificates = [x509.load_der_x509_certificate(each) for each in chain[:MAX_CHAIN]]
        anchors = _anchors(chain[:MAX_CHAIN], certificates, [each for each in records if each.usage == DANE_TA])
        if not anchors:
            return Untrusted(ResultType.VALIDATION_FAILURE, "no TLSA record matches the certificate")
        for anchor in anchors:
            problem = _verify(certificates, anchor)
            if problem is None:
                break
        else:
            return problem
        # RFC 7672 §3.1.2: with DANE-TA(2) the certificate names the server.
        if not names_host(certificates[0], names):
            return Untrusted(ResultType.HOST_MISMATCH, f"the certificate is not for {' or '.join(names)}")
    except (ValueError, UnsupportedAlgorithm) as error:
        return Untrusted(ResultType.VALIDATION_FAILURE, f"a certificate cannot be read: {error}"[:200])
    return None


def _anchors(
    chain: Sequence[bytes], certificates: Sequence[x509.Certificate], records: Sequence[Tlsa]
) -> list[x509.Certificate]:
    """The certificates to trust: those above the server's own that match, and those that only the DNS has."""
    found = [c for der, c in zip(chain[1:], certificates[1:], strict=True) if matching_records(records, DANE_TA, der)]
    for record in records:
        if record.matching != EXACT:
            continue
        if record.selector == CERTIFICATE:  # RFC 7671 §5.2.2: the server may leave it out
            found.append(x509.load_der_x509_certificate(record.data))
        elif record.selector == PUBLIC_KEY:
            found += [each for each in certificates if _is_signed_by(each, load_key(record.data))]
    return found


def _is_signed_by(certificate: x509.Certificate, key: object) -> bool:
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    parameters = certificate.signature_algorithm_parameters
    try:
        if isinstance(key, rsa.RSAPublicKey) and certificate.signature_hash_algorithm is not None:
            key.verify(signature, signed, parameters, certificate.signature_hash_algorithm)  # type: ignore[arg-type]
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, parameters)  # type: ignore[arg-type]
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, signed)
        else:
            return False
    except (InvalidSignature, TypeError, ValueError):
        return False  # TypeError: the parameters of another algorithm
    return True


def _verify(certificates: Sequence[x509.Certificate], anchor: x509.Certificate) -> Untrusted | None:
    """Signatures, dates, constraints and purpose of a chain that ends with the anchor."""
    from OpenSSL import crypto  # late: few destinations have such records

    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # the anchor need not be a root
    store.add_cert(crypto.X509.from_cryptography(anchor))
    own, *others = [crypto.X509.from_cryptography(each) for each in certificates]
    try:
        crypto.X509StoreContext(store, own, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        expired = certificates[0].not_valid_after_utc < datetime.now(UTC) or "expired" in str(error)
        result = ResultType.EXPIRED if expired else ResultType.NOT_TRUSTED
        return Untrusted(result, f"the certificate's chain is not valid: {error}")
    return None if _serves_tls(certificates[0]) else Untrusted(ResultType.NOT_TRUSTED, "no certificate for servers")


def _serves_tls(certificate: x509.Certificate) -> bool:
    """RFC 5280 §4.2.1.12: a certificate without the extension serves every purpose."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages
