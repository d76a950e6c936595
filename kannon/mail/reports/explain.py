"""Explains DMARC reports: which source addresses fail DKIM or SPF, and why, in words.

In: the records of a domain. Out: one `SourceSummary` for each address, the ones with the most failures first.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kannon.mail.reports.report import DmarcRecord, is_within

_UNREADABLE = frozenset({"temperror", "permerror"})
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """Mails from one address. `why`: the reasons of failures, the most frequent first; empty: none failed."""

    source: str
    mails: int
    aligned: int
    dkim: int
    spf: int
    why: tuple[str, ...]


def explain(records: Sequence[DmarcRecord], domain: str) -> list[SourceSummary]:
    by_source: dict[str, list[DmarcRecord]] = defaultdict(list)
    for record in records:
        by_source[record.source].append(record)
    found = [_summarise(source, some, domain) for source, some in by_source.items()]
    return sorted(found, key=lambda each: (each.aligned - each.mails, each.dkim - each.mails, -each.mails, each.source))


def percent(part: int, whole: int) -> str:
    """Rounded down: 100 % is all of them."""
    return f"{part * 1000 // whole / 10:g} %" if whole else "-"


def _summarise(source: str, records: Iterable[DmarcRecord], domain: str) -> SourceSummary:
    mails: Counter[str] = Counter()
    why: Counter[str] = Counter()
    for each in records:
        mails["all"] += each.count
        mails["aligned"] += each.count * each.aligned
        mails["dkim"] += each.count * each.dkim
        mails["spf"] += each.count * each.spf
        if not each.dkim:
            why[_why_dkim(each, domain)] += each.count
        if not each.spf:
            why[_why_spf(each, domain)] += each.count
    reasons = tuple(text for text, count in why.most_common(_MOST_REASONS) if count)
    return SourceSummary(source, mails["all"], mails["aligned"], mails["dkim"], mails["spf"], reasons)


def _why_dkim(record: DmarcRecord, domain: str) -> str:
    if not record.dkim_results:
        return "DKIM: not signed: it does not come from Kannon, or a relay has removed the signature"
    ours = [each for each in record.dkim_results if is_within(each.domain, domain) or is_within(domain, each.domain)]
    if not ours:
        signers = ", ".join(sorted({each.domain or "nobody" for each in record.dkim_results}))
        return f"DKIM: signed for {signers}, not for {record.header_from or domain}"
    worst = next((each for each in ours if each.result in _UNREADABLE), ours[0])
    key = f"{worst.selector}._domainkey.{worst.domain}" if worst.selector else f"the key of {worst.domain}"
    if worst.result in _UNREADABLE:
        return f"DKIM: {key} cannot be read ({worst.result}): kannon domains dns {domain} --verify"
    if worst.result == "pass":
        return f"DKIM: {key} signs it, which is no match for {record.header_from or domain} (strict alignment)"
    return (
        f"DKIM: the signature by {key} is broken ({worst.result or 'no result'}): changed on its way, as mailing lists "
        f"do, or the record has another key: kannon domains dns {domain} --verify"
    )


def _why_spf(record: DmarcRecord, domain: str) -> str:
    if not record.spf_results:
        return "SPF: not checked"
    found = record.spf_results[0]
    if found.result == "pass":
        own = record.header_from or domain
        return f"SPF: passes for {found.domain}, not for {own}: forwarded, or a bounce domain of its own"
    if not (is_within(found.domain, domain) or is_within(domain, found.domain)):
        return f"SPF: {found.result or 'no result'} for {found.domain}: another sender, or a forwarder"
    if found.result == "none":
        return f"SPF: {found.domain} has no record: kannon domains dns {domain}"
    return f"SPF: {found.domain} does not permit this address ({found.result}): add it to the record if it is yours"
