"""Reads a DMARC aggregate report (RFC 7489 §7.2, appendix C).

In: XML of anyone. Out: a `DmarcReport`. Raises UnreadableReport. A document type, and with it every entity, is refused;
depth, number of elements and of records are limited. Receivers write the form with and without a namespace, version and
optional elements, and in any case of letters.
"""

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from kannon.mail.reports.report import (
    DkimResult,
    DmarcRecord,
    DmarcReport,
    SpfResult,
    UnreadableReport,
    check_count,
    check_span,
    is_within,
    plain,
)

MAX_RECORDS: Final = 40_000
MAX_ELEMENTS: Final = 1_000_000
MAX_DEPTH: Final = 20
MAX_RESULTS: Final = 10
"""DKIM signatures of one record."""
_DISPOSITIONS: Final = ("none", "quarantine", "reject")


def parse_dmarc(xml: bytes, now: datetime) -> DmarcReport:
    records: list[DmarcRecord] = []
    sections: dict[str, Mapping[str, str]] = {}
    try:
        for name, element in _children(xml):
            if name == "record":
                records.append(_record(element, len(records) + 1))
                if len(records) > MAX_RECORDS:
                    raise UnreadableReport(f"the report has more than {MAX_RECORDS} records")
            elif name in ("report_metadata", "policy_published"):
                sections[name] = _texts(element)
    except DefusedXmlException:
        raise UnreadableReport("the XML has a document type or entities") from None
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise UnreadableReport(f"the XML is broken: {error}") from None
    metadata, policy = sections.get("report_metadata"), sections.get("policy_published")
    if metadata is None or policy is None:
        raise UnreadableReport("the XML is no DMARC report: report_metadata or policy_published is missing")
    if not records:
        raise UnreadableReport("the report has no records")
    domain = _name(policy.get("domain", ""))
    if not domain:
        raise UnreadableReport("policy_published has no domain")
    for number, record in enumerate(records, 1):
        if record.header_from and not is_within(record.header_from, domain):
            raise UnreadableReport(f"record {number} is about {record.header_from}, the report about {domain}")
    return DmarcReport(
        reporter=plain(metadata.get("org_name")) or plain(metadata.get("email")) or "unknown",
        report_id=plain(metadata.get("report_id")),
        span=check_span(_time(metadata, "begin"), _time(metadata, "end"), now),
        domain=domain,
        policy=plain(policy.get("p")).lower(),
        records=tuple(records),
    )


def _children(xml: bytes) -> Iterator[tuple[str, Element]]:
    """Of the root element, each as soon as it is complete; then it is emptied."""
    depth = count = 0
    for event, element in iterparse(io.BytesIO(xml), events=("start", "end"), forbid_dtd=True):
        if event == "start":
            depth, count = depth + 1, count + 1
            if depth > MAX_DEPTH or count > MAX_ELEMENTS:
                raise UnreadableReport("the XML has too many elements")
            continue
        depth -= 1
        if depth == 1:
            yield _tag(element), element
            element.clear()


def _record(element: Element, number: int) -> DmarcRecord:
    row, identifiers, auth = (_child(element, name) for name in ("row", "identifiers", "auth_results"))
    if row is None:
        raise UnreadableReport(f"record {number} has no row")
    texts = _texts(row)
    try:
        source = str(ip_address(texts.get("source_ip", "").strip()))
    except ValueError:
        raise UnreadableReport(f"record {number}: source_ip is no address") from None
    evaluated = _texts(_child(row, "policy_evaluated"))
    disposition = evaluated.get("disposition", "").strip().lower()
    return DmarcRecord(
        source=source,
        count=check_count(texts.get("count", ""), f"record {number}: count"),
        header_from=_name(_texts(identifiers).get("header_from", "")),
        dkim=evaluated.get("dkim", "").strip().lower() == "pass",
        spf=evaluated.get("spf", "").strip().lower() == "pass",
        disposition=disposition if disposition in _DISPOSITIONS else "none",
        dkim_results=tuple(
            DkimResult(_name(each.get("domain", "")), plain(each.get("selector")), plain(each.get("result")).lower())
            for each in map(_texts, _all(auth, "dkim"))
        ),
        spf_results=tuple(
            SpfResult(_name(each.get("domain", "")), plain(each.get("result")).lower())
            for each in map(_texts, _all(auth, "spf"))
        ),
    )


def _time(metadata: Mapping[str, str], name: str) -> datetime:
    text = metadata.get(name, "").strip()
    try:
        return datetime.fromtimestamp(float(text[:20]), UTC)  # some write "1700000000.0"
    except (ValueError, OverflowError, OSError):
        raise UnreadableReport(f"date_range: {name} is no time: {text[:40]}") from None


def _texts(element: Element | None) -> dict[str, str]:
    """The text of each descendant by its name; the first one counts."""
    found: dict[str, str] = {}
    for each in element.iter() if element is not None else ():
        found.setdefault(_tag(each), each.text or "")
    return found


def _child(element: Element | None, name: str) -> Element | None:
    return next(iter(_all(element, name)), None)


def _all(element: Element | None, name: str) -> list[Element]:
    children = element if element is not None else ()
    return [each for each in children if _tag(each) == name][:MAX_RESULTS]


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2].lower()


def _name(text: str) -> str:
    return plain(text).lower().rstrip(".")
