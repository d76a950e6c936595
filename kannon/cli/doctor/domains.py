"""The DNS of one sender domain: what it must publish, and what it may.

In: the domain, its DKIM records, a look-up. Out: findings.
"""

from collections.abc import Sequence
from typing import Final

from kannon.cli.doctor.finding import Finding, bad, good, unknown, warn
from kannon.dns_lookup import Lookup
from kannon.errors import Unavailable
from kannon.mail.dns.records import Kind, Purpose, Record, ServerNames, check_record, records_for

_OF_THE_HOST: Final = (Purpose.HOST, Purpose.REVERSE)  # network.py examines these once for all domains
_MISTAKES_THAT_WARN: Final = (Purpose.TRACKING, Purpose.SPF)
"""Mail still arrives: links fail, or DKIM alone makes DMARC pass."""
_OPTIONAL: Final = (
    ("MTA-STS", "_mta-sts", "v=stsv1", "other servers may send its bounces in clear"),  # RFC 8461 §3.1
    ("TLS-RPT", "_smtp._tls", "v=tlsrptv1", "no server reports TLS failures towards it"),  # RFC 8460 §3
)


async def examine_domain(domain: str, keys: Sequence[Record], servers: ServerNames, look_up: Lookup) -> list[Finding]:
    """`keys`: the records of its DKIM keys. What is good about the domain takes one line."""
    findings = []
    for record in records_for(domain, keys, servers):
        if record.purpose not in _OF_THE_HOST:
            findings.append(await _examine_record(domain, record, look_up))
    for name, label, version, lack in _OPTIONAL:
        findings.append(await _examine_optional(domain, name, f"{label}.{domain}", version, lack, look_up))
    wrong = [each for each in findings if each is not None]
    return wrong or [good(domain, "its records are published")]


async def _examine_record(domain: str, record: Record, look_up: Lookup) -> Finding | None:
    check = f"{domain}: {record.purpose.value}"
    try:
        result = check_record(record, await look_up(record.name, record.kind))
    except Unavailable as error:
        return unknown(check, str(error), "check dns.nameservers, then run this again")
    if result.good:
        return None
    judge = warn if record.purpose in _MISTAKES_THAT_WARN else bad
    return judge(check, f"{record.name}: {result.problem}", f"{result.hint} (kannon domains dns {domain})")


async def _examine_optional(
    domain: str, name: str, record: str, version: str, lack: str, look_up: Lookup
) -> Finding | None:
    """Absent is allowed. More than one record counts as none (RFC 8461 §3.1, RFC 8460 §3)."""
    try:
        found = [text for text in await look_up(record, Kind.TXT) if text.lower().replace(" ", "").startswith(version)]
    except Unavailable as error:
        return unknown(f"{domain}: {name}", str(error), "check dns.nameservers, then run this again")
    if len(found) > 1:
        return warn(f"{domain}: {name}", f"{record} has {len(found)} records, so {lack}", "delete all but one")
    return None
