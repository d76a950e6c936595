"""Reports of others (kannon.mail.reports): stored once each, added up by day; read for a span of days."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.reports.report import DkimResult, DmarcRecord, DmarcReport, ReceivedTlsReport, SpfResult, TlsRecord

MAX_REPORTS_A_DAY: Final = 5_000
"""Of a domain: anyone can send them, and providers send one each."""
MAX_ROWS: Final = 5_000
MAX_REPORTERS: Final = 200


@dataclass(frozen=True, slots=True)
class DmarcTotals:
    mails: int = 0
    aligned: int = 0
    dkim: int = 0
    spf: int = 0
    quarantined: int = 0
    rejected: int = 0
    sources: int = 0


@dataclass(frozen=True, slots=True)
class Reporter:
    """`kind` is dmarc or tls."""

    kind: str
    reporter: str
    reports: int
    last: datetime


@dataclass(frozen=True, slots=True)
class ReceivedReports:
    """`dmarc`: of the source addresses with the most trouble, or the most mail; `tls` the most frequent results."""

    totals: DmarcTotals
    dmarc: tuple[DmarcRecord, ...]
    tls: tuple[TlsRecord, ...]
    reporters: tuple[Reporter, ...]


@repeat_on_conflict
async def insert_report(db: Database, domain: str, report: DmarcReport | ReceivedTlsReport) -> bool:
    """False where it is stored already; the call may be repeated."""
    common = {
        "domain": domain,
        "reporter": report.reporter,
        "report_id": report.report_id,
        "begins_at": report.span.begin,
        "ends_at": report.span.end,
        "day": report.span.day,
    }
    async with db.acquire() as connection:
        if isinstance(report, DmarcReport):
            new: bool = await queries.insert_dmarc_report(connection, **common, **_dmarc_columns(report))
        else:
            new = await queries.insert_received_tls_report(connection, **common, **_tls_columns(report))
    return new


async def has_room(db: Database, domain: str) -> bool:
    """Whether the domain takes another report today."""
    async with db.acquire() as connection:
        count: int = await queries.count_reports_of_today(connection, domain=domain)
    return count < MAX_REPORTS_A_DAY


async def find_reports(db: Database, domain: str, from_day: date, to_day: date, *, take: int) -> ReceivedReports:
    """Of these days, both included; of the `take` source addresses with the most trouble."""
    span = {"domain": domain, "from_day": from_day, "to_day": to_day}
    async with db.acquire() as connection:
        totals = await queries.sum_dmarc_results(connection, **span)
        sources = [row async for row in queries.list_dmarc_sources(connection, **span, take=take, rows=MAX_ROWS)]
        tls = [row async for row in queries.list_received_tls_results(connection, **span, take=take)]
        reporters = [row async for row in queries.list_reporters(connection, **span, take=MAX_REPORTERS)]
    return ReceivedReports(
        DmarcTotals(**totals),
        tuple(_dmarc_record(row) for row in sources),
        tuple(TlsRecord(**row) for row in tls),
        tuple(Reporter(**row) for row in reporters),
    )


@repeat_on_conflict
async def delete_old_reports(db: Database, before: datetime) -> None:
    async with db.acquire() as connection:
        await queries.delete_old_reports(connection, before=before)


def _dmarc_columns(report: DmarcReport) -> dict[str, Sequence[Any]]:
    """One row for each different result: a report may repeat one."""
    mails: Counter[DmarcRecord] = Counter()
    for record in report.records:
        mails[replace(record, count=0)] += record.count
    rows = [(each, _results(each), count) for each, count in mails.items()]
    return {
        "sources": [each.source for each, _, _ in rows],
        "keys": [_key(report.reporter, asdict(each)) for each, _, _ in rows],
        "header_froms": [each.header_from for each, _, _ in rows],
        "dkims": [each.dkim for each, _, _ in rows],
        "spfs": [each.spf for each, _, _ in rows],
        "dispositions": [each.disposition for each, _, _ in rows],
        "results": [results for _, results, _ in rows],
        "mails": [count for _, _, count in rows],
    }


def _tls_columns(report: ReceivedTlsReport) -> dict[str, Sequence[Any]]:
    sessions: Counter[TlsRecord] = Counter()
    for record in report.records:
        sessions[replace(record, sessions=0)] += record.sessions
    return {
        "keys": [_key(report.reporter, asdict(each)) for each in sessions],
        "policies": [each.policy for each in sessions],
        "failures": [each.failure for each in sessions],
        "hosts": [each.host for each in sessions],
        "senders": [each.sender for each in sessions],
        "reasons": [each.reason for each in sessions],
        "sessions": list(sessions.values()),
    }


def _results(record: DmarcRecord) -> str:
    dkim = [[each.domain, each.selector, each.result] for each in record.dkim_results]
    return json.dumps({"dkim": dkim, "spf": [[each.domain, each.result] for each in record.spf_results]})


def _key(reporter: str, fields: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps([reporter, fields]).encode()).digest()


def _dmarc_record(row: Any) -> DmarcRecord:
    results = json.loads(row["results"])
    return DmarcRecord(
        source=row["source"],
        count=row["mails"],
        header_from=row["header_from"],
        dkim=row["dkim"],
        spf=row["spf"],
        disposition=row["disposition"],
        dkim_results=tuple(DkimResult(*each) for each in results["dkim"]),
        spf_results=tuple(SpfResult(*each) for each in results["spf"]),
    )
