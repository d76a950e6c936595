"""Reads a TLS report (RFC 8460 §4).

In: JSON of anyone. Out: a `ReceivedTlsReport`. Raises UnreadableReport.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final

from kannon.mail.reports.report import (
    ReceivedTlsReport,
    TlsRecord,
    UnreadableReport,
    check_count,
    check_span,
    plain,
)

MAX_POLICIES: Final = 1000
MAX_FAILURES: Final = 10_000


def parse_tls_report(text: bytes, now: datetime) -> ReceivedTlsReport:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableReport(f"the JSON is broken: {error}") from None
    report = _object(found, "the report")
    dates = _object(report.get("date-range"), "date-range")
    policies = _list(report.get("policies"), "policies", MAX_POLICIES)
    if not policies:
        raise UnreadableReport("the report has no policies")
    records: list[TlsRecord] = []
    domains = set()
    for number, each in enumerate(policies, 1):
        policy = _object(each, f"policy {number}")
        described = _object(policy.get("policy"), f"policy {number}: policy")
        domains.add(plain(_text(described.get("policy-domain"))).lower().rstrip("."))
        records += _records(policy, plain(_text(described.get("policy-type"))) or "unknown", number)
        if len(records) > MAX_FAILURES:
            raise UnreadableReport(f"the report has more than {MAX_FAILURES} failures")
    if len(domains) != 1 or "" in domains:
        raise UnreadableReport(f"the report is about {len(domains - {''})} domains, not one")
    return ReceivedTlsReport(
        reporter=plain(_text(report.get("organization-name"))) or "unknown",
        report_id=plain(_text(report.get("report-id"))),
        span=check_span(_time(dates, "start-datetime"), _time(dates, "end-datetime"), now),
        domain=domains.pop(),
        records=tuple(records),
    )


def _records(policy: dict[str, Any], kind: str, number: int) -> list[TlsRecord]:
    """One for the sessions that succeeded, one for each detail, and one for failures without details."""
    summary = _object(policy.get("summary"), f"policy {number}: summary")
    good = check_count(summary.get("total-successful-session-count", 0), f"policy {number}: successful sessions")
    failed = check_count(summary.get("total-failure-session-count", 0), f"policy {number}: failed sessions")
    records = [TlsRecord(kind, good)] if good else []
    for each in _list(policy.get("failure-details") or [], f"policy {number}: failure-details", MAX_FAILURES):
        detail = _object(each, f"policy {number}: failure-details")
        count = check_count(detail.get("failed-session-count", 0), f"policy {number}: failed-session-count")
        failed -= count
        records.append(
            TlsRecord(
                kind,
                count,
                failure=plain(_text(detail.get("result-type"))) or "unknown",
                host=plain(_text(detail.get("receiving-mx-hostname"))).lower(),
                sender=plain(_text(detail.get("sending-mta-ip"))),
                reason=plain(_text(detail.get("failure-reason-code"))),
            )
        )
    if failed > 0:
        records.append(TlsRecord(kind, failed, failure="unknown"))
    return records


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableReport(f"{what} is missing, or no object")
    return value


def _list(value: object, what: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableReport(f"{what} is missing, or no list")
    if len(value) > most:
        raise UnreadableReport(f"{what} has more than {most} entries")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(dates: dict[str, Any], name: str) -> datetime:
    """RFC 3339."""
    text = _text(dates.get(name))
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UnreadableReport(f"date-range: {name} is no time: {text[:40]}") from None
