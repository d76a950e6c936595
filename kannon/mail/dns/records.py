"""The DNS records of a domain that sends mail, and their check.

In: the domain, its DKIM keys and the names of the servers; for the check also the DNS answers. Out: `Record`s to
publish, and a `RecordCheck` for each. The caller does the look-ups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The record type. ADDRESS is A, AAAA, or a CNAME to them."""

    TXT = "TXT"
    MX = "MX"
    ADDRESS = "A/AAAA"
    PTR = "PTR"


class Purpose(StrEnum):
    """The reason for a record."""

    DKIM = "DKIM"
    SPF = "SPF"
    DMARC = "DMARC"
    TLS_REPORTS = "TLS reports"
    BOUNCES = "bounces"
    TRACKING = "opens and clicks"
    HOST = "sending host"
    REVERSE = "reverse name"


@dataclass(frozen=True, slots=True)
class Record:
    """`value` is the value to publish, or for ADDRESS and PTR the name of the host."""

    purpose: Purpose
    name: str
    kind: Kind
    value: str


@dataclass(frozen=True, slots=True)
class ServerNames:
    """Host names of this installation: of the sender, of the server for bounces, of the tracking server (empty:
    stats.<domain>)."""

    sending: str
    bounces: str
    tracking: str = ""


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """The result for one record. Unless it is `good`, `problem` and `hint` (the remedy) are set; both may also say what
    a good record could have."""

    good: bool
    problem: str
    hint: str = ""


GOOD = RecordCheck(True, "")
# RFC 6761 §6, RFC 6762 §3, RFC 8375 §3, RFC 9476 §2; ICANN reserved "internal" in 2024.
_PRIVATE_SUFFIXES = (".localhost", ".localdomain", ".local", ".internal", ".home.arpa", ".lan", ".alt")
_ADD = "add this record"


def dkim_record(domain: str, selector: str, algorithm: str, public_key: str) -> Record:
    """The record of one key."""
    kind = algorithm.removesuffix("-sha256")
    # RFC 6376 §3.6.1, RFC 8463 §4
    return Record(Purpose.DKIM, f"{selector}._domainkey.{domain}", Kind.TXT, f"v=DKIM1; k={kind}; p={public_key}")


def records_for(domain: str, keys: Sequence[Record], servers: ServerNames) -> list[Record]:
    """In the order of publishing; `keys` are the records of its DKIM keys."""
    tracking = servers.tracking or f"stats.{domain}"
    return [
        *keys,
        # RFC 7208 §2.4: for the domain of MAIL FROM, which is the tenant's.
        Record(Purpose.SPF, domain, Kind.TXT, f"v=spf1 a:{servers.sending} ~all"),
        # RFC 7489 §6.3
        Record(Purpose.DMARC, f"_dmarc.{domain}", Kind.TXT, f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}"),
        # RFC 8460 §3
        Record(Purpose.TLS_REPORTS, f"_smtp._tls.{domain}", Kind.TXT, f"v=TLSRPTv1; rua=mailto:tlsrpt@{domain}"),
        Record(Purpose.BOUNCES, domain, Kind.MX, f"10 {servers.bounces}."),
        Record(Purpose.TRACKING, tracking, Kind.ADDRESS, servers.sending),
        Record(Purpose.HOST, servers.sending, Kind.ADDRESS, "its public address"),
        Record(Purpose.REVERSE, servers.sending, Kind.PTR, servers.sending),
    ]


def is_public_host(name: str) -> bool:
    """Whether an MX record elsewhere can lead to it: a full name below a public domain, no address."""
    name = name.lower().rstrip(".")
    top = name.rpartition(".")[2]
    return "." in name and not top.isdecimal() and not name.endswith(_PRIVATE_SUFFIXES)


def name_warnings(servers: ServerNames) -> list[str]:
    """One line for each host name that no other host can reach, and the key that sets it."""
    said = []
    if not is_public_host(servers.sending):
        said.append(_not_public("the sending host", servers.sending, "sender.hostname, or give --host"))
    if servers.bounces != servers.sending and not is_public_host(servers.bounces):
        said.append(_not_public("the server for bounces", servers.bounces, "smtp.hostname"))
    return said


def _not_public(host: str, name: str, key: str) -> str:
    return f'{host} is called "{name}", which is no public name: set {key}'


def check_record(record: Record, found: Sequence[str]) -> RecordCheck:
    """`found`: TXT records (their strings joined), "preference host" of MX records, addresses, or names of PTR
    records."""
    match record.purpose:
        case Purpose.DKIM:
            return _check_dkim(record, found)
        case Purpose.SPF:
            return _check_spf(record, found)
        case Purpose.DMARC:
            return _check_dmarc(record, found)
        case Purpose.TLS_REPORTS:
            if any(text.lower().replace(" ", "").startswith("v=tlsrptv1;") for text in found):
                return GOOD
            return RecordCheck(True, "not there (optional)", f"{_ADD} to get reports on TLS with your own server")
        case Purpose.BOUNCES:
            return _check_bounces(record, found)
        case Purpose.REVERSE:
            names = [text.rstrip(".").lower() for text in found]
            if record.value.lower() in names:
                return GOOD
            hint = f"ask the provider of the address to name it {record.value}"
            return RecordCheck(False, f"names {', '.join(names)}" if names else "missing", hint)
        case _:
            if found:
                return GOOD
            return RecordCheck(False, "has no address", f"add an A, AAAA or CNAME record that leads to {record.value}")


def _check_dmarc(record: Record, found: Sequence[str]) -> RecordCheck:
    policies = [text for text in found if text.lower().replace(" ", "").startswith("v=dmarc1;p=")]
    if not policies:
        return RecordCheck(False, "missing: mailbox providers require one from bulk senders", _ADD)
    if "rua" not in _tags(policies[0]):
        hint = f"append ; rua={_tags(record.value)['rua']} to see what sends in your name"
        return RecordCheck(True, "asks for no reports (optional)", hint)
    return GOOD


def _check_bounces(record: Record, found: Sequence[str]) -> RecordCheck:
    hosts = [text.split()[-1].rstrip(".").lower() for text in found if text.split()]
    wanted = record.value.split()[-1].rstrip(".").lower()
    if wanted in hosts:
        return GOOD
    if not hosts:
        return RecordCheck(False, "missing", _ADD)
    hint = f"replace it with this record, or let {hosts[0]} relay mail to bounce addresses to {wanted}"
    return RecordCheck(False, f"leads to {', '.join(hosts)}: bounces go there", hint)


def _check_dkim(record: Record, found: Sequence[str]) -> RecordCheck:
    if len(found) != 1:
        # RFC 6376 §3.6.2.2: with more than one, the result is undefined.
        if not found:
            return RecordCheck(False, "missing", _ADD)
        return RecordCheck(False, "more than one record: verifiers pick any", "delete all but this one")
    wanted, tags = _tags(record.value), _tags(found[0])
    key, kind = tags.get("p"), tags.get("k", "rsa")
    # RFC 6376 §3.6.1: the meaning of each tag for a verifier.
    if key is None or tags.get("v", "DKIM1") != "DKIM1":
        problem = "is no DKIM key"
    elif not key:
        problem = "is a revoked key: p= is empty"
    elif key != wanted["p"] and wanted["p"].startswith(key):
        problem = f"ends after {len(key)} characters of the key: a TXT string holds 255, split it"
    elif key != wanted["p"]:
        problem = "publishes another key"
    elif kind != wanted["k"]:
        problem = f"says k={kind}, the key is k={wanted['k']}"
    elif "sha256" not in tags.get("h", "sha256").split(":"):
        problem = f"does not allow sha256: h={tags['h']}"
    elif not {"*", "email"} & set(tags.get("s", "*").split(":")):
        problem = f"is not for mail: s={tags['s']}"
    elif "y" in tags.get("t", "").split(":"):
        problem = "is in test mode (t=y): verifiers take the mail as unsigned"
    else:
        return GOOD
    return RecordCheck(False, problem, "replace it with this record")


def _check_spf(record: Record, found: Sequence[str]) -> RecordCheck:
    policies = [text for text in found if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]
    if len(policies) > 1:
        # RFC 7208 §4.5: permerror
        return RecordCheck(
            False, "more than one record: verifiers ignore them all", "merge their terms into one record"
        )
    if not policies:
        return RecordCheck(False, "missing", _ADD)
    mechanism = record.value.split()[1]
    terms = policies[0].split()
    if mechanism.lower() in [term.lstrip("+").lower() for term in terms]:
        return GOOD
    # RFC 7208 §5.1: mechanisms after "all" are ignored.
    place = next((i for i, term in enumerate(terms) if term.lstrip("+-~?").lower() == "all"), len(terms))
    complete = " ".join([*terms[:place], mechanism, *terms[place:]])
    hint = f'unless it permits the host in another way, change it to "{complete}"'
    return RecordCheck(False, f"does not name {mechanism}", hint)


def _tags(text: str) -> dict[str, str]:
    """RFC 6376 §3.2: tag=value pairs; white space within values is ignored."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}
