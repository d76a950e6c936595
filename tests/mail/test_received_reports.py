"""DMARC and TLS reports of others: as providers write them, and as attackers would."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.reports.explain import explain, percent
from kannon.mail.reports.read import read_report
from kannon.mail.reports.report import DkimResult as Dkim
from kannon.mail.reports.report import DmarcRecord, DmarcReport, ReceivedTlsReport, SpfResult, UnreadableReport
from kannon.mail.reports.unpack import MAX_BYTES
from kannon.mail.tls_report import PolicyType, Reporter, ResultType, TlsCount, TlsResult, make_report
from kannon.mail.tls_report_mail import make_report_mail
from tests.support.received_reports import DOMAIN, NOW, PROVIDERS, ROWS, ProviderReport, mail_of, zipped

GOOD = PROVIDERS[0].xml.decode()


def read(mail: bytes, domain: str = DOMAIN) -> DmarcReport:
    report = read_report(mail, domain, NOW)
    assert isinstance(report, DmarcReport)
    return report


def in_gzip(text: str | bytes) -> bytes:
    return mail_of(gzip.compress(text if isinstance(text, bytes) else text.encode()), "application/gzip", "r.xml.gz")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_the_report_of_each_provider_is_read(provider: ProviderReport) -> None:
    report = read(provider.mail)
    assert report.report_id.endswith(".1")
    assert (report.domain, report.span.day) == (DOMAIN, date(2025, 11, 25))
    rows = [(each.source, each.count, each.disposition, each.dkim, each.spf) for each in report.records]
    assert rows == [(source, count, kind, dkim == "pass", spf == "pass") for source, count, kind, dkim, spf in ROWS]
    assert all(each.header_from == DOMAIN for each in report.records)


def test_twenty_providers() -> None:
    assert len({each.name for each in PROVIDERS}) == 20
    assert {read(each.mail).policy for each in PROVIDERS} == {"none", "reject"}
    assert "Rspäm" in {read(each.mail).reporter for each in PROVIDERS}


def test_what_authenticated_each_record_is_kept() -> None:
    cisco = read(next(each for each in PROVIDERS if each.name == "cisco.com").mail)
    assert cisco.records[0].dkim_results == (Dkim(DOMAIN, "kannon", "pass"), Dkim("esp.example", "s1", "pass"))
    assert cisco.records[0].spf_results == (SpfResult(DOMAIN, "pass"),)


def test_a_report_about_a_subdomain_or_the_organisation_is_ours() -> None:
    below = GOOD.replace(DOMAIN, f"news.{DOMAIN}")
    assert read(in_gzip(below)).domain == f"news.{DOMAIN}"
    assert read(in_gzip(GOOD), f"news.{DOMAIN}").domain == DOMAIN


def bomb() -> bytes:
    return in_gzip(b"<?xml version='1.0'?><feedback>" + b" " * (MAX_BYTES + 1))


def zip_bomb() -> bytes:
    return mail_of(zipped("r.xml", b"<feedback>" + b" " * (100 << 20)), "application/zip", "r.zip")


def lying_zip_bomb() -> bytes:
    """Its headers say that it is small."""
    data = bytearray(zipped("r.xml", b"<feedback>" + b" " * (20 << 20)))
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (1000).to_bytes(4, "little")
    return mail_of(bytes(data), "application/zip", "r.zip")


def many_files() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(1000):
            archive.writestr(f"{number}.xml", "<feedback/>")
    return mail_of(file.getvalue(), "application/zip", "r.zip")


def encrypted() -> bytes:
    data = bytearray(zipped("r.xml", GOOD.encode()))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + offset] |= 1
    return mail_of(bytes(data), "application/zip", "r.zip")


DTD = '<?xml version="1.0"?><!DOCTYPE feedback [{}]>' + GOOD.partition("?>")[2]
LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("mail", "verdict"),
    [
        (bomb, "the report has more than 16 MiB when it is unpacked"),
        (zip_bomb, "the report has more than 16 MiB when it is unpacked"),
        (lying_zip_bomb, "the zip archive is broken: Bad CRC-32"),
        (many_files, "the zip archive has 1000 files"),
        (encrypted, "the zip archive is broken"),
        (lambda: mail_of(gzip.compress(gzip.compress(GOOD.encode())), "application/gzip", "r.gz"), "has no report"),
        (lambda: mail_of(gzip.compress(GOOD.encode())[:-30], "application/gzip", "r.gz"), "is cut off"),
        (lambda: mail_of(b"\x1f\x8b junk", "application/gzip", "r.gz"), "the gzip archive is broken"),
        (lambda: mail_of(b"PK\x03\x04 junk", "application/zip", "r.zip"), "the zip archive is broken"),
        (lambda: mail_of(b"PK\x05\x06" + bytes(18), "application/zip", "r.zip"), "has no report"),
        (lambda: b"From: a@b.c\r\n\r\nHello, is this the right address?\r\n", "the mail has no report"),
        (lambda: b"", "the mail has no report"),
        (lambda: in_gzip(DTD.format('<!ENTITY x SYSTEM "file:///etc/passwd">')), "has a document type or entities"),
        (lambda: in_gzip(DTD.format('<!ENTITY % x SYSTEM "http://192.0.2.1/x">%x;')), "has a document type"),
        (lambda: in_gzip(DTD.format(LAUGHS)), "has a document type or entities"),
        (lambda: in_gzip('<!DOCTYPE feedback SYSTEM "http://192.0.2.1/x.dtd">' + GOOD[40:]), "has a document type"),
        (lambda: in_gzip(GOOD.replace(">982<", f">{2**63}<")), "count is 9223372036854775808: more than 10"),
        (lambda: in_gzip(GOOD.replace(">982<", ">-5<")), "record 1: count is no number: -5"),
        (lambda: in_gzip(GOOD.replace(">982<", ">٣<")), "record 1: count is no number"),
        (lambda: in_gzip(GOOD.replace(">982<", ">" + "9" * 5000 + "<")), "record 1: count is no number: 999"),
        (lambda: in_gzip(GOOD.replace("192.0.2.1", "localhost")), "record 1: source_ip is no address"),
        (lambda: in_gzip(GOOD.replace("1764028800", "x")), "date_range: begin is no time: x"),
        (lambda: in_gzip(GOOD.replace("1764028800", "nan")), "date_range: begin is no time: nan"),
        (lambda: in_gzip(GOOD.replace("1764028800", "1e300")), "date_range: begin is no time: 1e300"),
        (lambda: in_gzip(GOOD.replace("1764028800", "1864028800")), "ends before it begins"),
        (lambda: in_gzip(GOOD.replace("1764028800", "0")), "about more than a month"),
        (lambda: in_gzip(GOOD.replace("17640288", "10").replace("17641151", "10")), "too long ago or in the future"),
        (lambda: in_gzip(GOOD.replace(DOMAIN, "example.org")), "is about example.org, this address takes those"),
        (lambda: in_gzip(GOOD.replace(DOMAIN, "com")), "is about com, this address takes"),
        (lambda: in_gzip(GOOD.replace(f"<header_from>{DOMAIN}", "<header_from>bank.example", 1)), "record 1 is about"),
        (lambda: in_gzip(GOOD.replace("policy_published", "policy")), "is no DMARC report"),
        (lambda: in_gzip("<feedback></feedback>"), "is no DMARC report"),
        (lambda: in_gzip(GOOD.partition("<record>")[0] + "</feedback>"), "the report has no records"),
        (lambda: in_gzip(GOOD.replace("<row>", "<line>").replace("</row>", "</line>")), "record 1 has no row"),
        (lambda: in_gzip(GOOD.replace("</feedback>", "")), "the XML is broken"),
        (lambda: in_gzip(GOOD.replace("UTF-8", "klingon")), "the XML is broken"),
        (lambda: in_gzip("<?xml version='1.0'?>" + "<a>" * 100_000), "the XML has too many elements"),
        (lambda: in_gzip("{" * 100_000), "the JSON is broken"),
        (lambda: in_gzip("[" * 100_000), "has no report"),
    ],
)  # fmt: skip
def test_what_is_hostile_or_broken_is_refused_with_a_clear_verdict(mail: Callable[[], bytes], verdict: str) -> None:
    with pytest.raises(UnreadableReport, match=verdict) as raised:
        read(mail())
    assert str(raised.value).isascii()
    assert len(str(raised.value)) <= 300


def test_the_number_of_elements_is_limited() -> None:
    with (
        patch("kannon.mail.reports.dmarc.MAX_ELEMENTS", 1000),
        pytest.raises(UnreadableReport, match="the XML has too many elements"),
    ):
        read(in_gzip("<feedback>" + "<a/>" * 1001))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_report_or_refused(data: bytes) -> None:
    for mail in (data, mail_of(data, "application/zip", "r.zip"), mail_of(b"<?xml " + data, "text/xml", "r.xml")):
        with pytest.raises(UnreadableReport):
            read_report(mail, DOMAIN, NOW)


# -- TLS reports

DAY = date(2025, 11, 25)
COUNTS = [
    TlsCount(DAY, DOMAIN, TlsResult(), 100),
    TlsCount(DAY, DOMAIN, TlsResult(failure=ResultType.EXPIRED, host="mx.example.com", local_address="192.0.2.1"), 3),
]


def tls_report() -> dict[str, Any]:
    text = make_report(DAY, DOMAIN, COUNTS, Reporter("Sender", "tls@sender.example"))
    found: dict[str, Any] = json.loads(text)
    return found


def tls_mail(report: object) -> bytes:
    return mail_of(gzip.compress(json.dumps(report).encode()), "application/tlsrpt+gzip", "r.json.gz")


def test_a_report_as_we_send_it_ourselves_is_read() -> None:
    reporter = Reporter("Sender", "tls@sender.example")
    compressed = gzip.compress(make_report(DAY, DOMAIN, COUNTS, reporter))
    mail = make_report_mail(DAY, DOMAIN, compressed, reporter, f"tlsrpt@{DOMAIN}").message
    report = read_report(mail, DOMAIN, NOW)
    assert isinstance(report, ReceivedTlsReport)
    assert (report.reporter, report.span.day) == ("Sender", DAY)
    good, bad = report.records
    assert (good.sessions, good.failure, good.policy) == (100, "", PolicyType.NONE.value)
    assert (bad.sessions, bad.failure, bad.host, bad.sender) == (
        3,
        "certificate-expired",
        "mx.example.com",
        "192.0.2.1",
    )


def test_failures_without_details_are_failures() -> None:
    report = tls_report()
    report["policies"][0]["failure-details"] = []
    found = read_report(tls_mail(report), DOMAIN, NOW)
    assert isinstance(found, ReceivedTlsReport)
    assert [(each.sessions, each.failure) for each in found.records] == [(100, ""), (3, "unknown")]


def spoil(*path: str | int, value: object) -> Callable[[], bytes]:
    def make() -> bytes:
        report: Any = tls_report()
        at = report
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        return tls_mail(report)

    return make


POLICY = ("policies", 0)
GOOD_COUNT, BAD_COUNT = "total-successful-session-count", "total-failure-session-count"


@pytest.mark.parametrize(
    ("mail", "verdict"),
    [
        (spoil("policies", value=[]), "has no policies"),
        (spoil("policies", value={}), "policies is missing, or no list"),
        (spoil("policies", value=[tls_report()["policies"][0]] * 1001), "policies has more than 1000 entries"),
        (spoil(*POLICY, value="x"), "policy 1 is missing, or no object"),
        (spoil(*POLICY, "policy", "policy-domain", value="example.org"), "the report is about example.org"),
        (spoil(*POLICY, "policy", "policy-domain", value=7), "the report is about 0 domains, not one"),
        (spoil(*POLICY, "summary", value=None), "policy 1: summary is missing"),
        (
            spoil(*POLICY, "summary", GOOD_COUNT, value=2**63),
            "policy 1: successful sessions is 922",
        ),
        (
            spoil(*POLICY, "summary", BAD_COUNT, value=-1),
            "policy 1: failed sessions is no number: -1",
        ),
        (spoil(*POLICY, "summary", BAD_COUNT, value=True), "failed sessions is no number: True"),
        (spoil(*POLICY, "failure-details", value=[{}] * 10_001), "failure-details has more than 10000 entries"),
        (spoil("date-range", value=None), "date-range is missing"),
        (spoil("date-range", "start-datetime", value="soon"), "date-range: start-datetime is no time: soon"),
        (spoil("date-range", "end-datetime", value="2999-01-01T00:00:00Z"), "about more than a month"),
        (lambda: mail_of(b'{"policies": ' + b"9" * 5000 + b"}", "application/json", "r.json"), "the JSON is broken"),
        (lambda: mail_of(b'{"a": ' * 100_000, "application/json", "r.json"), "the JSON is broken"),
    ],
)
def test_a_tls_report_that_is_absurd_is_refused(mail: Callable[[], bytes], verdict: str) -> None:
    with pytest.raises(UnreadableReport, match=verdict):
        read_report(mail(), DOMAIN, NOW)


# -- explanations


def record(source: str, count: int, *, dkim: bool = False, spf: bool = False, **results: Any) -> DmarcRecord:
    signatures = tuple(Dkim(*each) for each in results.get("signed", ()))
    spf_results = tuple(SpfResult(*each) for each in results.get("checked", ()))
    return DmarcRecord(source, count, DOMAIN, dkim, spf, "none", signatures, spf_results)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (record("a", 1, spf=True), "DKIM: not signed"),
        (record("a", 1, spf=True, signed=[("esp.example", "s", "pass")]), "DKIM: signed for esp.example, not for"),
        (record("a", 1, spf=True, signed=[(DOMAIN, "k", "fail")]), "signature by k._domainkey.example.com is broken"),
        (record("a", 1, spf=True, signed=[(DOMAIN, "k", "permerror")]), "k._domainkey.example.com cannot be"),
        (record("a", 1, spf=True, signed=[(f"x.{DOMAIN}", "k", "pass")]), "no match for example.com"),
        (record("a", 1, dkim=True), "SPF: not checked"),
        (record("a", 1, dkim=True, checked=[("list.example", "pass")]), "SPF: passes for list.example, not for"),
        (record("a", 1, dkim=True, checked=[("list.example", "fail")]), "SPF: fail for list.example: another sender"),
        (record("a", 1, dkim=True, checked=[(DOMAIN, "none")]), "SPF: example.com has no record"),
        (record("a", 1, dkim=True, checked=[(DOMAIN, "softfail")]), "does not permit this address (softfail)"),
    ],
)  # fmt: skip
def test_why_an_address_fails(found: DmarcRecord, why: str) -> None:
    [summary] = explain([found], DOMAIN)
    assert [each for each in summary.why if why in each] == list(summary.why) != []


def test_the_addresses_with_the_most_failures_come_first() -> None:
    records = [record("good", 982, dkim=True, spf=True), record("half", 6, spf=True), record("bad", 12)]
    found = explain(records, DOMAIN)
    assert [(each.source, each.mails, each.aligned, each.dkim, bool(each.why)) for each in found] == [
        ("bad", 12, 0, 0, True),
        ("half", 6, 6, 0, True),
        ("good", 982, 982, 982, False),
    ]
    assert percent(982, 1000) == "98.2 %"
    assert percent(99_999, 100_000) == "99.9 %"
    assert (percent(5, 5), percent(0, 0)) == ("100 %", "-")
    assert asdict(found[2])["why"] == ()


def test_a_span_counts_for_the_day_that_most_of_it_lies_in() -> None:
    shifted = GOOD.replace("1764028800", str(1764028800 - 7 * 3600)).replace("1764115199", str(1764115199 - 7 * 3600))
    assert read(in_gzip(shifted)).span.day == date(2025, 11, 25)
    assert datetime(2025, 11, 25, tzinfo=UTC) + timedelta(days=1) < NOW
