"""A domain's DNS records as lines of a zone file (RFC 1035 §5.1), to include in the domain's zone.

In: records. Out: text. A record whose value is not known here (an address), or that belongs in another zone, is a
comment.
"""

from collections.abc import Iterable

from kannon.mail.dns.records import Kind, Record

_STRING = 255  # RFC 1035 §3.3: the octets of one character-string
_TTL = 3600


def zone_file(domain: str, records: Iterable[Record]) -> str:
    lines = [f"; DNS records of {domain} for Kannon. Include them in the domain's zone.", f"$ORIGIN {domain}."]
    lines.append(f"$TTL {_TTL}")
    for record in records:
        entry = _entry(record)
        if record.kind is Kind.PTR:
            lines.append(f"; {record.purpose.value}: in the zone of its address: PTR {record.value}.")
        elif entry is None:
            lines.append(f"; {record.purpose.value}: {record.name}. IN A {record.value}")
        elif record.name == domain or record.name.endswith(f".{domain}"):
            lines += [f"; {record.purpose.value}", entry]
        else:
            lines.append(f"; {record.purpose.value}: in its own zone: {entry}")
    return "\n".join(lines)


def _entry(record: Record) -> str | None:
    """None: the value is not known."""
    if record.kind is Kind.TXT:
        return f"{record.name}. IN TXT {_strings(record.value)}"
    if record.kind is Kind.ADDRESS:
        known = record.name != record.value and "." in record.value and " " not in record.value
        return f"{record.name}. IN CNAME {record.value}." if known else None
    return f"{record.name}. IN {record.kind.value} {record.value}"


def _strings(text: str) -> str:
    octets = text.encode()
    parts = [octets[start : start + _STRING] for start in range(0, max(1, len(octets)), _STRING)]
    return " ".join('"' + "".join(_character(octet) for octet in part) + '"' for part in parts)


def _character(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
