"""Mail to dmarc@ and tlsrpt@ of a tenant's domain: read and stored, or refused with the reason."""

import gzip
from pathlib import Path

from prometheus_client import CollectorRegistry

from kannon.db.pool import Database
from kannon.db.reports import find_reports, insert_report
from kannon.mail.reports.report import DmarcReport, ReceivedTlsReport
from kannon.metrics.metrics import Metrics
from tests.support.inbound import DOMAIN, HOSTNAME, Running, running
from tests.support.pool import insert_domain
from tests.support.received_reports import PROVIDERS, mail_of, recent_mail, recent_tls_mail

DMARC, TLSRPT = f"dmarc@{DOMAIN}", f"TLSRPT@{DOMAIN.upper()}"
BAD = mail_of(b"\x1f\x8b junk", "application/gzip", "r.xml.gz")


async def test_the_reports_of_twenty_providers_are_stored_before_250(server: Running) -> None:
    async with server.connect() as peer:
        for provider in PROVIDERS:
            assert (await peer.send_mail([DMARC], recent_mail(provider, DOMAIN))).startswith("250")
        assert (await peer.send_mail([TLSRPT], recent_tls_mail(DOMAIN))).startswith("250")
    assert {domain for domain, _ in server.book.reports} == {DOMAIN}
    kinds = [type(report) for _, report in server.book.reports]
    assert kinds == [DmarcReport] * 20 + [ReceivedTlsReport]
    assert server.outbox.published == 0
    assert not (server.data_dir / "postmaster").exists()


async def test_what_cannot_be_read_is_refused_with_the_reason(server: Running) -> None:
    foreign = recent_mail(PROVIDERS[0], "example.org")
    async with server.connect() as peer:
        assert (await peer.send_mail([DMARC], BAD)).startswith("554 5.6.0 the gzip archive is broken: ")
        assert (await peer.send_mail([DMARC], foreign)) == (
            f"554 5.6.0 the report is about example.org, this address takes those about {DOMAIN}"
        )
        assert (await peer.send_mail([TLSRPT], b"Hello?\r\n")).startswith("554 5.6.0 the mail has no report")
        assert (await peer.send_mail([DMARC], recent_mail(PROVIDERS[1], DOMAIN))).startswith("250")
    assert len(server.book.reports) == 1


async def test_only_tenants_have_such_addresses(server: Running) -> None:
    for address in ("dmarc@other.example", f"dmarc@{HOSTNAME}", "dmarc", f"dmarc-reports@{DOMAIN}"):
        async with server.connect() as peer:
            assert (await peer.send_mail([address], b"x\r\n")).startswith("550 5.1.1")


async def test_another_recipient_of_a_mail_that_is_no_report_gets_it(server: Running) -> None:
    async with server.connect() as peer:
        assert (await peer.send_mail([DMARC, f"postmaster@{DOMAIN}"], BAD)).startswith("250")
    assert len(list((server.data_dir / "postmaster" / "new").iterdir())) == 1
    assert server.book.reports == []


async def test_away_and_full_are_temporary(server: Running) -> None:
    async with server.connect() as peer:
        server.book.full = True
        mail = recent_mail(PROVIDERS[0], DOMAIN)
        assert (await peer.send_mail([DMARC], mail)).startswith("452 4.3.1 Enough reports for today")
        server.book.full = False
        for line in ("MAIL FROM:<>", f"RCPT TO:<{DMARC}>", "DATA"):
            await peer.say(line)
        server.book.down = True
        assert (await peer.say(mail + b"\r\n.\r\n")).startswith("451 4.3.0")
        server.book.down = False
        assert (await peer.send_mail([DMARC], mail)).startswith("250")
    assert len(server.book.reports) == 1


async def test_each_result_is_counted(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    async with running(tmp_path, metrics=Metrics(registry)) as server, server.connect() as peer:
        for mail in (
            recent_mail(PROVIDERS[0], DOMAIN),
            recent_mail(PROVIDERS[0], DOMAIN),
            recent_tls_mail(DOMAIN),
            BAD,
        ):
            await peer.send_mail([DMARC], mail)
    results = ("dmarc", "known", "tls", "refused")
    counts = [registry.get_sample_value("kannon_received_reports_total", {"result": each}) for each in results]
    assert counts == [1, 1, 1, 1]


async def test_what_the_server_has_read_is_what_the_database_gives_back(server: Running, db: Database) -> None:
    await insert_domain(db, DOMAIN)
    async with server.connect() as peer:
        assert (await peer.send_mail([DMARC], recent_mail(PROVIDERS[2], DOMAIN))).startswith("250")
    [(_, report)] = server.book.reports
    await insert_report(db, DOMAIN, report)
    found = await find_reports(db, DOMAIN, report.span.day, report.span.day, take=10)
    assert isinstance(report, DmarcReport)
    assert {*found.dmarc} == {*report.records}


async def test_a_bomb_does_not_stop_other_mail(server: Running) -> None:
    bomb = mail_of(gzip.compress(b"<?xml version='1.0'?><feedback>" + b" " * (64 << 20)), "application/gzip", "r.gz")
    async with server.connect() as first, server.connect() as second:
        assert (await first.send_mail([DMARC], bomb)).startswith("554 5.6.0 the report has more than 16 MiB")
        assert (await second.send_mail([DMARC], recent_mail(PROVIDERS[0], DOMAIN))).startswith("250")
