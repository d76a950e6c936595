"""What a domain's owner publishes in the DNS so that its mail is believed, and whether what is found there will do.

In: the domain, its DKIM key and the names of the servers; for the check also what the DNS answered. Out: `Record`s to
publish, and a `Finding` for each. Looks nothing up itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is asked for. ADDRESS stands for A, AAAA or a CNAME to them."""

    TXT = "TXT"
    MX = "MX"
    ADDRESS = "A/AAAA"
    PTR = "PTR"


class Purpose(StrEnum):
    """Why it is published."""

    DKIM = "DKIM"
    SPF = "SPF"
    DMARC = "DMARC"
    BOUNCES = "bounces"
    TRACKING = "opens and clicks"
    HOST = "sending host"
    REVERSE = "reverse name"


@dataclass(frozen=True, slots=True)
class Record:
    """`value` is what to publish, or for ADDRESS and PTR what it leads to."""

    purpose: Purpose
    name: str
    kind: Kind
    value: str


@dataclass(frozen=True, slots=True)
class Servers:
    """Names of this installation: of the host that sends, of the one that takes bounces, of the one that answers opens
    and clicks (empty: stats.<domain>)."""

    sending: str
    bounces: str
    tracking: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """`good`: will do. `text` says what is wrong otherwise."""

    good: bool
    text: str


def records_for(domain: str, selector: str, public_key: str, servers: Servers) -> list[Record]:
    """In the order in which one would publish them."""
    tracking = servers.tracking or f"stats.{domain}"
    return [
        # RFC 6376 §3.6.1
        Record(Purpose.DKIM, f"{selector}._domainkey.{domain}", Kind.TXT, f"v=DKIM1; k=rsa; p={public_key}"),
        # RFC 7208 §3: of the domain of MAIL FROM, which is the tenant's own.
        Record(Purpose.SPF, domain, Kind.TXT, f"v=spf1 a:{servers.sending} ~all"),
        # RFC 7489 §6.3
        Record(Purpose.DMARC, f"_dmarc.{domain}", Kind.TXT, f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"),
        Record(Purpose.BOUNCES, domain, Kind.MX, f"10 {servers.bounces}."),
        Record(Purpose.TRACKING, tracking, Kind.ADDRESS, servers.sending),
        Record(Purpose.HOST, servers.sending, Kind.ADDRESS, "its public address"),
        Record(Purpose.REVERSE, servers.sending, Kind.PTR, servers.sending),
    ]


def judge(record: Record, found: Sequence[str]) -> Finding:
    """`found`: texts of TXT records (their strings joined), "preference host" of MX, addresses, or names of PTR."""
    match record.purpose:
        case Purpose.DKIM:
            return _judge_dkim(record, found)
        case Purpose.SPF:
            return _judge_spf(record, found)
        case Purpose.DMARC:
            if any(text.lower().replace(" ", "").startswith("v=dmarc1;p=") for text in found):
                return Finding(True, "")
            return Finding(False, "missing: mailbox providers want one from who sends in bulk")
        case Purpose.BOUNCES:
            hosts = [text.split()[-1].rstrip(".").lower() for text in found if text.split()]
            wanted = record.value.split()[-1].rstrip(".").lower()
            if wanted in hosts:
                return Finding(True, "")
            return Finding(False, f"leads to {', '.join(hosts)}: bounces go there" if hosts else "missing")
        case Purpose.REVERSE:
            names = [text.rstrip(".").lower() for text in found]
            if record.value.lower() in names:
                return Finding(True, "")
            return Finding(False, f"names {', '.join(names)}" if names else "missing: ask who gave you the address")
        case _:
            return Finding(bool(found), "" if found else "has no address")


def _judge_dkim(record: Record, found: Sequence[str]) -> Finding:
    wanted = _tags(record.value)["p"]
    keys = [_tags(text).get("p", "") for text in found]
    if wanted in keys:
        return Finding(True, "") if len(keys) == 1 else Finding(False, "more than one record: verifiers pick any")
    return Finding(False, "publishes another key" if any(keys) else "missing")


def _judge_spf(record: Record, found: Sequence[str]) -> Finding:
    policies = [text for text in found if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]
    if len(policies) > 1:
        return Finding(False, "more than one record: that counts as none")  # RFC 7208 §4.5: permerror
    if not policies:
        return Finding(False, "missing")
    mechanism = record.value.split()[1]
    if mechanism.lower() in [term.lstrip("+").lower() for term in policies[0].split()]:
        return Finding(True, "")
    return Finding(False, f"is there, but does not name {mechanism}; see that it allows the host in another way")


def _tags(text: str) -> dict[str, str]:
    """RFC 6376 §3.2: tag=value pairs; white space within values of p= does not count."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}
