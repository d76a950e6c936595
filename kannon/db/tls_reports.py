"""TLS results of a day and a recipients' domain, and the state of the report of them (RFC 8460)."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.tls_report import TlsCount, read_result

GRACE = timedelta(hours=1)
SPREAD = timedelta(hours=3)
LEASE = timedelta(minutes=15)
MAX_RESULTS = 5_000
"""In one report: the most frequent ones."""


@dataclass(frozen=True, slots=True)
class TlsReport:
    """A report that is due. `delivered`: the URIs that have it."""

    day: date
    domain: str
    attempts: int
    delivered: tuple[str, ...]


@repeat_on_conflict
async def insert_tls_results(db: Database, page_id: str, counts: Sequence[TlsCount]) -> None:
    """The call may be repeated: a page counts once."""
    page = sorted(counts, key=lambda count: (count.day, count.domain, count.key))
    async with db.acquire() as connection:
        await queries.insert_tls_results(
            connection,
            page_id=page_id,
            days=[each.day for each in page],
            domains=[each.domain for each in page],
            keys=[each.key for each in page],
            results=[json.dumps(asdict(each.result)) for each in page],
            sessions=[each.sessions for each in page],
        )


@repeat_on_conflict
async def claim_tls_report(db: Database, now: datetime) -> TlsReport | None:
    """One whose time has come, for LEASE; after a crash another process claims it again."""
    async with db.acquire() as connection:
        await queries.open_tls_reports(connection, today=now.date(), grace=GRACE, spread=SPREAD)
        row = await queries.claim_tls_report(connection, now=now, lease=LEASE)
    return None if row is None else TlsReport(row["day"], row["domain"], row["attempts"], tuple(row["delivered"]))


async def list_tls_results(db: Database, report: TlsReport) -> list[TlsCount]:
    async with db.acquire() as connection:
        rows = queries.list_tls_results(connection, day=report.day, domain=report.domain, take=MAX_RESULTS)
        return [
            TlsCount(report.day, report.domain, read_result(json.loads(row["result"])), row["sessions"])
            async for row in rows
        ]


async def note_delivered(db: Database, report: TlsReport, uri: str) -> None:
    async with db.acquire() as connection:
        await queries.note_tls_report_delivered(connection, day=report.day, domain=report.domain, uri=uri)


async def settle_tls_report(
    db: Database, report: TlsReport, state: str, *, detail: str = "", next_attempt_at: datetime | None = None
) -> None:
    async with db.acquire() as connection:
        await queries.settle_tls_report(
            connection,
            day=report.day,
            domain=report.domain,
            state=state,
            detail=detail[:500],
            next_attempt_at=next_attempt_at,
        )


async def delete_old_tls_results(db: Database, before: datetime) -> None:
    async with db.acquire() as connection:
        await queries.delete_old_tls_results(connection, before=before)
