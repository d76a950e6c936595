"""TLS of outbound connections: the contexts, and the record of a handshake.

Modes: `opportunistic` encrypts when the server offers TLS and does not verify, because an MX host's certificate names
no authority to verify it with; `required` encrypts or does not send; `verify` also requires a certificate for the host
name from a trusted authority.
"""

import ssl
from dataclasses import dataclass
from typing import Literal

TlsMode = Literal["none", "opportunistic", "required", "verify"]


@dataclass(frozen=True, slots=True)
class TlsContexts:
    lenient: ssl.SSLContext
    strict: ssl.SSLContext

    def of(self, mode: TlsMode) -> ssl.SSLContext:
        return self.strict if mode == "verify" else self.lenient


def make_contexts(ca_file: str = "") -> TlsContexts:
    """`ca_file`: PEM of the authorities to trust in place of the system's. Raises OSError."""
    strict = ssl.create_default_context(cafile=ca_file or None)
    strict.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: TLS 1.0 and 1.1 are deprecated
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lenient.minimum_version = ssl.TLSVersion.TLSv1_2
    lenient.check_hostname = False
    lenient.verify_mode = ssl.CERT_NONE
    # Old mail servers have 1024-bit keys; unverified encryption to them is better than clear text.
    lenient.set_ciphers("DEFAULT:@SECLEVEL=1")
    return TlsContexts(lenient, strict)


def describe(tls: ssl.SSLObject, *, verified: bool) -> str:
    """`"TLSv1.3 TLS_AES_256_GCM_SHA384 unverified"`, as verdicts record it."""
    cipher = tls.cipher()
    return f"{tls.version()} {cipher[0] if cipher else '?'} {'verified' if verified else 'unverified'}"
