"""TLS of outbound connections: the contexts, what a server has to prove, and the record of a handshake.

Modes: `opportunistic` encrypts when the server offers TLS and does not verify, because an MX host's certificate names
no authority to verify it with; `required` encrypts or does not send; `verify` also requires a certificate for the host
name from a trusted authority. With TLSA records the mode is `required`, and the records authenticate the server.
"""

import ssl
from dataclasses import dataclass, field
from typing import Literal

from kannon.mail.dane import Tlsa
from kannon.mail.tls_report import AppliedPolicy, PolicyType, ResultType
from kannon.outbound.client.certificates import Untrusted, authenticate, peer_chain

TlsMode = Literal["none", "opportunistic", "required", "verify"]

NO_POLICY = AppliedPolicy(PolicyType.NONE)
NOT_OFFERED = "4.7.4"  # RFC 3463 §3.8: X.7.4 security features not supported
NOT_VERIFIED = "4.7.5"  # RFC 3463 §3.8: X.7.5 cryptographic failure

# OpenSSL's X509_V_ERR_… numbers; the ssl module has no names for them.
_RESULTS = {
    10: ResultType.EXPIRED,
    18: ResultType.NOT_TRUSTED,
    19: ResultType.NOT_TRUSTED,
    20: ResultType.NOT_TRUSTED,
    21: ResultType.NOT_TRUSTED,
    62: ResultType.HOST_MISMATCH,
}


@dataclass(frozen=True, slots=True)
class TlsRequirement:
    """What the connection to one host has to prove. `verified_by` is how a verified connection is recorded.
    `server_name`: for SNI, empty for the host. `names`: those that a chain to a TLSA record's certificate may be for.
    `testing`: a failure is reported, and the mail is sent without the requirement."""

    mode: TlsMode = "opportunistic"
    verified_by: str = "verified"
    policy: AppliedPolicy = NO_POLICY
    server_name: str = ""
    records: tuple[Tlsa, ...] = ()
    names: tuple[str, ...] = ()
    testing: bool = False

    @property
    def is_mandatory(self) -> bool:
        return self.mode in ("required", "verify")


OPPORTUNISTIC = TlsRequirement()


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """`by_policy` is `strict` for names in the certificate's alternative names only."""

    lenient: ssl.SSLContext
    strict: ssl.SSLContext
    by_policy: ssl.SSLContext = field(repr=False)

    def of(self, requirement: TlsRequirement) -> ssl.SSLContext:
        if requirement.mode != "verify":
            return self.lenient
        return self.by_policy if requirement.policy.kind is PolicyType.STS else self.strict


def make_contexts(ca_file: str = "") -> TlsContexts:
    """`ca_file`: PEM of the authorities to trust in place of the system's. Raises OSError."""
    strict, by_policy = _strict(ca_file), _strict(ca_file)
    by_policy.hostname_checks_common_name = False  # RFC 8461 §4.2: a DNS-ID, which the common name is not
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lenient.minimum_version = ssl.TLSVersion.TLSv1_2
    lenient.check_hostname = False
    lenient.verify_mode = ssl.CERT_NONE
    # Old mail servers have 1024-bit keys; unverified encryption to them is better than clear text.
    lenient.set_ciphers("DEFAULT:@SECLEVEL=1")
    return TlsContexts(lenient, strict, by_policy)


def _strict(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: TLS 1.0 and 1.1 are deprecated
    return context


def check_peer(tls: ssl.SSLObject, requirement: TlsRequirement) -> Untrusted | None:
    """After the handshake: whether the server is authenticated by the TLSA records, where there are some."""
    if not requirement.records:
        return None
    chain = peer_chain(tls)
    if not chain:
        return Untrusted(ResultType.VALIDATION_FAILURE, "the server has no certificate")
    return authenticate(chain, requirement.records, requirement.names)


def result_of(error: Exception) -> ResultType:
    """Of a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _RESULTS.get(error.verify_code, ResultType.VALIDATION_FAILURE)
    return ResultType.VALIDATION_FAILURE


def describe(tls: ssl.SSLObject, requirement: TlsRequirement) -> str:
    """`"TLSv1.3 TLS_AES_256_GCM_SHA384 unverified"`, as verdicts record it: unverified, verified (by a route or
    sender.tls_policy), dane or mta-sts."""
    cipher = tls.cipher()
    verified = requirement.mode == "verify" or requirement.records
    return f"{tls.version()} {cipher[0] if cipher else '?'} {requirement.verified_by if verified else 'unverified'}"
