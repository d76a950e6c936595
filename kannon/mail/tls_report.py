"""TLS results and the reports of them (RFC 8460). No I/O.

In: how the TLS of connections ended, by policy. Out: counts that senders publish, and the JSON document that a domain's
owner gets once a day.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from kannon.errors import Poison

DAY = timedelta(days=1)
MAX_REASON = 200


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


@dataclass(frozen=True, slots=True)
class TlsCount:
    """How many connections for mail to a recipients' domain had the same result on a day (UTC)."""

    day: date
    domain: str
    result: TlsResult
    sessions: int

    @property
    def key(self) -> bytes:
        """Of the result: counts with equal keys add up."""
        return hashlib.sha256(json.dumps(asdict(self.result)).encode()).digest()


def encode_counts(counts: Sequence[TlsCount]) -> bytes:
    """For the bus."""
    return json.dumps([{**asdict(each), "day": each.day.isoformat()} for each in counts]).encode()


def decode_counts(payload: bytes) -> list[TlsCount]:
    """Raises Poison."""
    try:
        found = json.loads(payload)
        if not isinstance(found, list):
            raise TypeError("not a list")
        return [_count(each) for each in found]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Poison(f"no TLS results: {error}") from None


def _count(value: dict[str, Any]) -> TlsCount:
    result = read_result(value["result"])
    return TlsCount(date.fromisoformat(value["day"]), str(value["domain"]), result, int(value["sessions"]))


def read_result(value: dict[str, Any]) -> TlsResult:
    """Of `asdict(result)`, which may have been JSON. Raises ValueError, KeyError or TypeError."""
    result = dict(value)
    policy = result.pop("policy")
    failure = result.pop("failure")
    applied = AppliedPolicy(PolicyType(policy["kind"]), tuple(policy["text"]), tuple(policy["mx"]))
    return TlsResult(policy=applied, failure=ResultType(failure) if failure else None, **result)


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: the operator's name for itself and its address."""

    organization: str
    contact: str


def report_id(day: date, domain: str, contact: str) -> str:
    """The same for a repeated report of the same day: receivers count it once."""
    digest = hashlib.sha256(f"{day} {domain} {contact}".encode()).hexdigest()[:16]
    return f"{day.isoformat()}.{digest}@{contact.rpartition('@')[2]}"


def make_report(day: date, domain: str, counts: Sequence[TlsCount], reporter: Reporter) -> bytes:
    """RFC 8460 §4.4, as JSON. `counts` are those of this day and domain."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    by_policy: dict[AppliedPolicy, list[TlsCount]] = {}
    for count in counts:
        by_policy.setdefault(count.result.policy, []).append(count)
    report = {
        "organization-name": reporter.organization,
        "date-range": {"start-datetime": _time(begin), "end-datetime": _time(begin + DAY - timedelta(seconds=1))},
        "contact-info": reporter.contact,
        "report-id": report_id(day, domain, reporter.contact),
        "policies": [_policy(domain, policy, some) for policy, some in by_policy.items()],
    }
    return json.dumps(report, indent=1).encode()


def _policy(domain: str, policy: AppliedPolicy, counts: Sequence[TlsCount]) -> dict[str, Any]:
    described: dict[str, Any] = {"policy-type": policy.kind.value, "policy-domain": domain}
    if policy.kind is not PolicyType.NONE:
        described |= {"policy-string": list(policy.text), "mx-host": list(policy.mx)}
    failures = [each for each in counts if each.result.failure is not None]
    failed = sum(each.sessions for each in failures)
    return {
        "policy": described,
        "summary": {
            "total-successful-session-count": sum(each.sessions for each in counts) - failed,
            "total-failure-session-count": failed,
        },
        "failure-details": [_details(each) for each in failures],
    }


def _details(count: TlsCount) -> dict[str, Any]:
    result = count.result
    found = {
        "result-type": result.failure,
        "sending-mta-ip": result.local_address,
        "receiving-mx-hostname": result.host,
        "receiving-ip": result.address,
        "failed-session-count": count.sessions,
        "failure-reason-code": result.reason,
    }
    return {key: value for key, value in found.items() if value}


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_rua(texts: Sequence[str]) -> list[str]:
    """The URIs in the TXT records of `_smtp._tls.<domain>` (RFC 8460 §3): mailto and https, each once, at most ten.
    Empty: the domain wants no reports, or has not exactly one record."""
    records = [text for text in texts if text.split(";")[0].strip() == "v=TLSRPTv1"]
    if len(records) != 1:
        return []
    for part in records[0].split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip() == "rua":
            uris = [uri.strip() for uri in value.split(",")]
            wanted = [uri for uri in uris if uri.lower().startswith(("mailto:", "https://")) and uri.isascii()]
            return list(dict.fromkeys(wanted))[:10]
    return []
