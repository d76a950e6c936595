"""Received reports: stored once each, added up by day and source address, deleted after the retention."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from kannon.db.pool import Database
from kannon.db.reports import DmarcTotals, delete_old_reports, find_reports, has_room, insert_report
from kannon.mail.reports.read import read_report
from kannon.mail.reports.report import DmarcReport, ReceivedTlsReport, Span, TlsRecord
from tests.support.pool import insert_domain
from tests.support.received_reports import DOMAIN, NOW, PROVIDERS

DAY = date(2025, 11, 25)
SPAN = Span(datetime(2025, 11, 25, tzinfo=UTC), datetime(2025, 11, 26, tzinfo=UTC))
TLS = ReceivedTlsReport(
    "Sender", "1", SPAN, DOMAIN, (TlsRecord("sts", 100), TlsRecord("sts", 3, "certificate-expired", "mx.example.com"))
)


def dmarc() -> DmarcReport:
    report = read_report(PROVIDERS[0].mail, DOMAIN, NOW)
    assert isinstance(report, DmarcReport)
    return report


async def test_a_report_counts_once_and_reports_of_others_add_up(db: Database) -> None:
    await insert_domain(db)
    for provider in PROVIDERS:
        report = read_report(provider.mail, DOMAIN, NOW)
        assert await insert_report(db, DOMAIN, report)
        assert not await insert_report(db, DOMAIN, report)
    found = await find_reports(db, DOMAIN, DAY, DAY, take=100)
    assert found.totals == DmarcTotals(
        mails=20_000, aligned=20 * 988, dkim=20 * 982, spf=20 * 988, quarantined=120, rejected=0, sources=3
    )
    sources = {each.source for each in found.dmarc}
    assert sources == {"192.0.2.1", "198.51.100.7", "2001:db8::25"}
    assert sum(each.count for each in found.dmarc) == 20_000
    assert len(found.reporters) == 20
    assert {(each.kind, each.reports) for each in found.reporters} == {("dmarc", 1)}


async def test_equal_records_of_one_report_add_up(db: Database) -> None:
    await insert_domain(db)
    report = dmarc()
    assert await insert_report(db, DOMAIN, replace(report, records=report.records * 2))
    assert (await find_reports(db, DOMAIN, DAY, DAY, take=100)).totals.mails == 2000


async def test_the_addresses_with_the_most_failures_are_the_ones_that_are_read(db: Database) -> None:
    await insert_domain(db)
    await insert_report(db, DOMAIN, dmarc())
    found = await find_reports(db, DOMAIN, DAY, DAY, take=1)
    assert {each.source for each in found.dmarc} == {"198.51.100.7"}
    assert found.totals.sources == 3


async def test_days_and_domains_are_apart(db: Database) -> None:
    await insert_domain(db)
    await insert_domain(db, "other.example")
    await insert_report(db, DOMAIN, dmarc())
    await insert_report(db, DOMAIN, TLS)
    for domain, day in (("other.example", DAY), (DOMAIN, DAY + timedelta(days=1)), (DOMAIN, DAY - timedelta(days=1))):
        found = await find_reports(db, domain, day, day, take=100)
        assert (found.totals, found.dmarc, found.tls) == (DmarcTotals(), (), ())
    found = await find_reports(db, DOMAIN, DAY, DAY, take=100)
    assert found.tls == TLS.records
    assert {each.kind for each in found.reporters} == {"dmarc", "tls"}


async def test_old_reports_are_deleted_and_a_domain_has_room_for_so_many_a_day(db: Database) -> None:
    await insert_domain(db)
    await insert_report(db, DOMAIN, dmarc())
    await insert_report(db, DOMAIN, TLS)
    assert await has_room(db, DOMAIN)
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO received_reports (domain, kind, reporter, report_id, begins_at, ends_at)"
            " SELECT $1, 'dmarc', 'x', n, now(), now() FROM generate_series(1, 5000) n",
            DOMAIN,
        )
    assert not await has_room(db, DOMAIN)
    await delete_old_reports(db, datetime.now(UTC) + timedelta(minutes=1))
    found = await find_reports(db, DOMAIN, DAY, DAY, take=100)
    assert (found.totals, found.tls, found.reporters) == (DmarcTotals(), (), ())
