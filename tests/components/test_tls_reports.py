"""TLS results on their way into the database, and the reports of them (RFC 8460)."""

import email
import gzip
import json
from datetime import UTC, date, datetime, timedelta
from email.policy import default
from typing import Any, cast

import pytest

from kannon.bus.bus import Bus
from kannon.bus.settle import Message
from kannon.components.stats import Submitter
from kannon.components.stats.tls_reports import TlsReports, store_results
from kannon.db.pool import Database
from kannon.db.tls_reports import GRACE, LEASE, SPREAD, insert_tls_results
from kannon.errors import InvalidArgument, NotFound, Poison, Unavailable
from kannon.mail.dns.records import Kind
from kannon.mail.send_request import Limits
from kannon.mail.tls_report import (
    AppliedPolicy,
    PolicyType,
    Reporter,
    ResultType,
    TlsCount,
    TlsResult,
    decode_counts,
    encode_counts,
    make_report,
    parse_rua,
)
from kannon.mail.tls_report_mail import ReportMail, make_report_mail
from kannon.outbound.client.tls import make_contexts
from tests.support.certificates import Authority, make_authority
from tests.support.policy_host import PolicyHost, served, serving_https
from tests.support.pool import insert_domain

DAY = date(2026, 3, 1)
AFTER = datetime(2026, 3, 2, tzinfo=UTC) + GRACE + SPREAD
STS = AppliedPolicy(
    PolicyType.STS,
    ("version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"),
    ("*.mail.company-y.example",),
)
REPORTER = Reporter("Company-X", "sts-reporting@company-x.example")


def count(sessions: int, domain: str = "company-y.example", **result: Any) -> TlsCount:
    return TlsCount(DAY, domain, TlsResult(STS, **result), sessions)


def rfc_counts(day: date) -> list[TlsCount]:
    """RFC 8460, appendix B."""
    some = [
        count(5326),
        count(
            100,
            failure=ResultType.EXPIRED,
            local_address="2001:db8:abcd:0012::1",
            host="mx1.mail.company-y.example",
        ),
        count(
            200,
            failure=ResultType.STARTTLS,
            local_address="2001:db8:abcd:0013::1",
            host="mx2.mail.company-y.example",
            address="203.0.113.56",
        ),
        count(
            3,
            failure=ResultType.VALIDATION_FAILURE,
            local_address="198.51.100.62",
            host="mx-backup.mail.company-y.example",
            address="203.0.113.58",
            reason="X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
        ),
    ]
    return [TlsCount(day, each.domain, each.result, each.sessions) for each in some]


def test_the_report_is_that_of_the_rfc() -> None:
    report = json.loads(make_report(date(2016, 4, 1), "company-y.example", rfc_counts(date(2016, 4, 1)), REPORTER))
    assert report.pop("report-id").startswith("2016-04-01.")
    assert report == {
        "organization-name": "Company-X",
        "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"},
        "contact-info": "sts-reporting@company-x.example",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": list(STS.text),
                    "policy-domain": "company-y.example",
                    "mx-host": ["*.mail.company-y.example"],
                },
                "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "2001:db8:abcd:0012::1",
                        "receiving-mx-hostname": "mx1.mail.company-y.example",
                        "failed-session-count": 100,
                    },
                    {
                        "result-type": "starttls-not-supported",
                        "sending-mta-ip": "2001:db8:abcd:0013::1",
                        "receiving-mx-hostname": "mx2.mail.company-y.example",
                        "receiving-ip": "203.0.113.56",
                        "failed-session-count": 200,
                    },
                    {
                        "result-type": "validation-failure",
                        "sending-mta-ip": "198.51.100.62",
                        "receiving-ip": "203.0.113.58",
                        "receiving-mx-hostname": "mx-backup.mail.company-y.example",
                        "failed-session-count": 3,
                        "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
                    },
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("texts", "uris"),
    [
        (["v=TLSRPTv1; rua=mailto:r@x.test"], ["mailto:r@x.test"]),
        (["v=TLSRPTv1;rua=mailto:r@x.test,https://x.test/v1"], ["mailto:r@x.test", "https://x.test/v1"]),
        (["v=spf1 -all", "v=TLSRPTv1; rua=https://x.test/v1;"], ["https://x.test/v1"]),
        (["v=TLSRPTv1; rua=mailto:a@x.test", "v=TLSRPTv1; rua=mailto:b@x.test"], []),
        (["v=TLSRPTv2; rua=mailto:a@x.test"], []),
        (["v=TLSRPTv1; rua=http://x.test/, ftp://x.test"], []),
        (["v=TLSRPTv1"], []),
        ([], []),
    ],
)
def test_where_a_domain_wants_its_reports(texts: list[str], uris: list[str]) -> None:
    assert parse_rua(texts) == uris


CUT = encode_counts([count(1)])[:-5]


@pytest.mark.parametrize("payload", [b"", b"{}", b"[1]", b'[{"day": "x"}]', b"\xff\xfe", CUT])
def test_results_that_are_none_are_poison(payload: bytes) -> None:
    with pytest.raises(Poison):
        decode_counts(payload)


class World:
    """What the reporter sees: a DNS, a clock, and a Kannon that takes mail."""

    def __init__(self, db: Database, authority: Authority) -> None:
        self.db = db
        self.records: dict[tuple[str, Kind], list[str]] = {}
        self.mails: list[ReportMail] = []
        self.now = AFTER
        self.refuse = ""
        contexts = make_contexts(authority.pem)
        self.reports = TlsReports(
            db,
            REPORTER,
            self._look_up,
            self._submit,
            clock=lambda: self.now,
            context=contexts.strict,
            public_only=False,
        )

    async def _look_up(self, name: str, kind: Kind) -> list[str]:
        found = self.records.get((name, kind), [])
        if found == ["away"]:
            raise Unavailable("DNS look-up failed")
        return found

    async def _submit(self, mail: ReportMail) -> None:
        if self.refuse:
            raise InvalidArgument("sender.email", self.refuse)
        self.mails.append(mail)

    async def states(self) -> list[tuple[str, str, list[str]]]:
        async with self.db.acquire() as connection:
            rows = await connection.fetch("SELECT domain, state, delivered FROM tls_reports ORDER BY domain")
        return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def world(db: Database, authority: Authority) -> World:
    return World(db, authority)


class Arrived:
    """A message of the bus."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.word = ""

    async def ack(self) -> None:
        self.word = "ack"

    async def dead_letter(self, reason: str) -> None:
        self.word = reason


async def test_a_page_that_comes_twice_counts_once_and_equal_results_add_up(db: Database) -> None:
    pages = [Arrived(name + b"\n" + encode_counts(rfc_counts(DAY))) for name in (b"one", b"one", b"two")]
    bad = Arrived(b"three\n{}x")
    await store_results(db, cast("list[Message]", [*pages, bad]))
    assert [each.word for each in pages] == ["ack"] * 3
    assert bad.word.startswith("no TLS results")
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tls_results") == 4
        assert await connection.fetchval("SELECT sum(sessions) FROM tls_results") == 2 * (5326 + 303)


async def test_a_report_goes_by_mail_once(world: World) -> None:
    await insert_tls_results(world.db, "1", rfc_counts(DAY))
    world.records["_smtp._tls.company-y.example", Kind.TXT] = ["v=TLSRPTv1; rua=mailto:tls@company-y.example"]
    world.now = datetime(2026, 3, 2, 0, 59, tzinfo=UTC)
    assert await world.reports.send_due() == 0  # results may still be on their way
    world.now = AFTER
    assert [await world.reports.send_due() for _ in range(2)] == [1, 0]
    [mail] = world.mails
    assert mail.recipient == "tls@company-y.example"
    message = email.message_from_bytes(mail.message, policy=default)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "tlsrpt"
    assert message["TLS-Report-Domain"] == "company-y.example"
    assert message["TLS-Report-Submitter"] == "company-x.example"
    assert message["TLS-Required"] == "No"
    assert message["Subject"].startswith("Report Domain: company-y.example Submitter: company-x.example Report-ID: <")
    text, attached = message.iter_parts()
    assert (text.get_content_type(), attached.get_content_type()) == ("text/plain", "application/tlsrpt+gzip")
    name = attached.get_filename() or ""
    assert name.startswith("company-x.example!company-y.example!1772323200!1772409599!")
    assert name.endswith(".json.gz")
    report = json.loads(gzip.decompress(attached.get_payload(decode=True)))  # type: ignore[arg-type]
    assert report["policies"][0]["summary"]["total-failure-session-count"] == 303
    assert f"<{report['report-id']}>" in message["Subject"]


async def test_a_report_goes_by_https_and_a_crash_repeats_it_under_its_id(world: World, authority: Authority) -> None:
    host = PolicyHost(authority.issue("reports.test"), served(b"", status="503 Service Unavailable"))
    async with serving_https(host) as port:
        await insert_tls_results(world.db, "1", rfc_counts(DAY))
        rua = f"v=TLSRPTv1; rua=https://reports.test:{port}/v1?k=1,mailto:tls@company-y.example"
        world.records["_smtp._tls.company-y.example", Kind.TXT] = [rua]
        world.records["reports.test", Kind.ADDRESS] = ["127.0.0.1"]
        assert await world.reports.send_due() == 0
        [(_, state, delivered)] = await world.states()
        assert (state, delivered) == ("due", ["mailto:tls@company-y.example"])
        host.response = served(b"", status="201 Created")
        world.now += timedelta(hours=1)
        assert await world.reports.send_due() == 1
    assert len(world.mails) == 1
    ids = set()
    for request in host.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v1?k=1 HTTP/1.1\r\n")
        assert b"content-type: application/tlsrpt+gzip" in head.lower()
        ids.add(json.loads(gzip.decompress(body))["report-id"])
    assert (len(host.requests), len(ids)) == (2, 1)


async def test_a_claim_of_a_process_that_died_is_taken_over(world: World) -> None:
    await insert_tls_results(world.db, "1", rfc_counts(DAY))
    world.records["_smtp._tls.company-y.example", Kind.TXT] = ["v=TLSRPTv1; rua=mailto:tls@company-y.example"]

    async def die(mail: ReportMail) -> None:
        raise RuntimeError("killed")

    submit, world.reports._submit = (
        world.reports._submit,
        die,
    )
    with pytest.raises(RuntimeError):
        await world.reports.send_due()
    world.reports._submit = submit
    assert await world.reports.send_due() == 0
    world.now += LEASE
    assert await world.reports.send_due() == 1
    assert len(world.mails) == 1


async def test_what_stands_in_the_way(world: World) -> None:
    domains = ("quiet.test", "away.test", "inside.test", "odd.test")
    await insert_tls_results(world.db, "1", [count(1, domain) for domain in domains])
    world.records["_smtp._tls.away.test", Kind.TXT] = ["away"]
    world.records["_smtp._tls.inside.test", Kind.TXT] = ["v=TLSRPTv1; rua=https://inside.test/"]
    world.records["inside.test", Kind.ADDRESS] = ["10.0.0.1"]
    world.records["_smtp._tls.odd.test", Kind.TXT] = ["v=TLSRPTv1; rua=https://[::x/,https://x:99999/,mailto:a@b.test"]
    world.reports._public_only = True
    world.refuse = "no domain of this server"
    assert await world.reports.send_due() == 0
    states = {domain: state for domain, state, _ in await world.states()}
    assert states == {"quiet.test": "unwanted", "away.test": "due", "inside.test": "due", "odd.test": "due"}
    for _ in range(30):
        world.now += timedelta(hours=1)
        await world.reports.send_due()
    states = {domain: state for domain, state, _ in await world.states()}
    assert states == {"quiet.test": "unwanted", "away.test": "failed", "inside.test": "failed", "odd.test": "failed"}


async def test_a_mail_is_a_signed_batch_of_the_contacts_domain(db: Database, bus: Bus) -> None:
    """Also for a process that did not come to note it: the key is the report's."""
    submitter = Submitter(db, Limits(1 << 20, 100), bus)
    mail = make_report_mail(DAY, "company-y.example", b"report", REPORTER, "tls@company-y.example")
    with pytest.raises(NotFound, match=r"tlsrpt\.contact: no domain company-x\.example"):
        await submitter.submit(mail)
    await insert_domain(db, "company-x.example")
    for _ in range(2):
        await submitter.submit(mail)
    other = make_report_mail(DAY, "company-y.example", b"with a late result", REPORTER, "tls@company-y.example")
    await submitter.submit(other)
    async with db.acquire() as connection:
        [row] = await connection.fetch("SELECT tag, raw FROM messages")
        assert row["tag"] == "tlsrpt"
        assert b'multipart/report; report-type="tlsrpt"' in row["raw"].replace(b"\r\n ", b" ")
        assert await connection.fetchval("SELECT email FROM sending_pool_emails") == "tls@company-y.example"
