"""What TLS-RPT counts: how a connection's TLS ended, by policy (RFC 8460). No I/O."""

from dataclasses import dataclass, field
from enum import StrEnum


class PolicyType(StrEnum):
    """RFC 8460 §4.4: the policy that was applied."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class ResultType(StrEnum):
    """RFC 8460 §4.3: why a connection failed, or a policy could not be applied."""

    STARTTLS = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    FETCH_ERROR = "sts-policy-fetch-error"
    POLICY_INVALID = "sts-policy-invalid"
    WEBPKI_INVALID = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """`text`: the lines of an MTA-STS policy, or the TLSA records. `mx`: the policy's patterns, or the TLSA's host."""

    kind: PolicyType
    text: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsResult:
    """One connection to one host. `failure` None: its TLS was as the policy wants it. `reason` is for people."""

    policy: AppliedPolicy = field(default=AppliedPolicy(PolicyType.NONE))
    failure: ResultType | None = None
    host: str = ""
    address: str = ""
    local_address: str = ""
    reason: str = ""
