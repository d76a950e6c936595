"""TLS on the way out: which contexts there are, and what is recorded of a handshake.

Modes: `opportunistic` encrypts where it can and does not verify, since for a stranger's MX there is nothing to verify
against; `required` encrypts or does not send; `verify` wants a certificate for the host name from a known authority as
well.
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
    """`ca_file`: PEM of authorities to trust instead of the system's. Raises OSError."""
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
    """`"TLSv1.3 TLS_AES_256_GCM_SHA384 unverified"`, as it stands on a verdict."""
    cipher = tls.cipher()
    return f"{tls.version()} {cipher[0] if cipher else '?'} {'verified' if verified else 'unverified'}"
