"""The records to publish in the DNS, and their checks."""

import pytest

from kannon.mail.build.dkim import ED25519_SHA256, RSA_SHA256
from kannon.mail.dns.records import (
    Kind,
    Purpose,
    Record,
    RecordCheck,
    ServerNames,
    check_record,
    dkim_record,
    is_public_host,
    name_warnings,
    records_for,
)

KEY = dkim_record("example.com", "sel", RSA_SHA256, "KEY+/=")
RECORDS = {r.purpose: r for r in records_for("example.com", [KEY], ServerNames("mx.example.net", "mx.example.net"))}

CASES: list[tuple[Purpose, list[str], bool]] = [
    (Purpose.DKIM, ["v=DKIM1; k=rsa; p=KEY+/="], True),
    (Purpose.DKIM, ["p = KEY +/= ; t=s"], True),
    (Purpose.DKIM, [], False),
    (Purpose.DKIM, ["v=DKIM1; p="], False),
    (Purpose.DKIM, ["v=DKIM1; p=OTHER"], False),
    (Purpose.DKIM, ["v=DKIM1; p=OTHER", "v=DKIM1; p=KEY+/="], False),
    (Purpose.DKIM, ["v=DKIM1; k=rsa; h=sha1:sha256; s=email; t=s; n=a note; p=KEY+/="], True),
    (Purpose.DKIM, ["v=DKIM1; k=rsa; s=*; p=KEY+/="], True),
    (Purpose.DKIM, ["v=DKIM2; p=KEY+/="], False),
    (Purpose.DKIM, ["v=DKIM1; k=ed25519; p=KEY+/="], False),
    (Purpose.DKIM, ["v=DKIM1; h=sha1; p=KEY+/="], False),
    (Purpose.DKIM, ["v=DKIM1; s=tlsrpt; p=KEY+/="], False),
    (Purpose.DKIM, ["v=DKIM1; t=y; p=KEY+/="], False),
    (Purpose.DKIM, ["v=DKIM1; t=s:y; p=KEY+/="], False),
    (Purpose.DKIM, ["KEY+/="], False),
    (Purpose.DKIM, [""], False),
    (Purpose.SPF, ["v=spf1 include:x.net +A:MX.example.net -all"], True),
    (Purpose.SPF, ["text", "v=spf1 a:mx.example.net ~all"], True),
    (Purpose.SPF, ["v=spf10 a:mx.example.net"], False),
    (Purpose.SPF, ["v=spf1 include:mx.example.net ~all"], False),
    (Purpose.SPF, ["v=spf1 a:mx.example.net ~all", "v=spf1 -all"], False),
    (Purpose.SPF, [], False),
    (Purpose.DMARC, ["v=DMARC1; p=quarantine; pct=5; rua=mailto:reports@elsewhere.example"], True),
    (Purpose.TLS_REPORTS, ["v=TLSRPTv1;rua=https://elsewhere.example/"], True),
    (Purpose.DMARC, ["v=DMARC1"], False),
    (Purpose.DMARC, [], False),
    (Purpose.BOUNCES, ["20 other.net.", "10 MX.example.net."], True),
    (Purpose.BOUNCES, ["10 other.net."], False),
    (Purpose.BOUNCES, [], False),
    (Purpose.TRACKING, ["192.0.2.1"], True),
    (Purpose.TRACKING, [], False),
    (Purpose.HOST, ["2001:db8::1"], True),
    (Purpose.REVERSE, ["mx.example.net."], True),
    (Purpose.REVERSE, ["host-1.isp.example."], False),
    (Purpose.REVERSE, [], False),
]


@pytest.mark.parametrize(("purpose", "found", "good"), CASES)
def test_checks(purpose: Purpose, found: list[str], good: bool) -> None:
    check = check_record(RECORDS[purpose], found)
    assert check.good is good
    assert bool(check.problem) is not good
    assert bool(check.hint) is not good


@pytest.mark.parametrize(
    ("purpose", "found", "problem", "hint"),
    [
        (
            Purpose.DMARC,
            ["v=DMARC1; p=none"],
            "asks for no reports (optional)",
            "append ; rua=mailto:dmarc@example.com to see what sends in your name",
        ),
        (
            Purpose.TLS_REPORTS,
            [],
            "not there (optional)",
            "add this record to get reports on TLS with your own server",
        ),
    ],
)
def test_records_of_reports_may_be_absent(purpose: Purpose, found: list[str], problem: str, hint: str) -> None:
    assert check_record(RECORDS[purpose], found) == RecordCheck(True, problem, hint)


def test_published_records_pass() -> None:
    for record in RECORDS.values():
        assert check_record(record, [record.value]) == RecordCheck(True, ""), record


def test_a_tracking_host_of_the_operators_own_replaces_stats() -> None:
    records = records_for("example.com", [KEY], ServerNames("mx.a.net", "in.a.net", "links.a.net"))
    assert {r.name for r in records if r.purpose is Purpose.TRACKING} == {"links.a.net"}
    assert [r.value for r in records if r.purpose is Purpose.BOUNCES] == ["10 in.a.net."]
    assert isinstance(records[0], Record)


def test_the_record_of_each_algorithm() -> None:
    first = dkim_record("example.com", "sel", RSA_SHA256, "K")
    assert first == Record(Purpose.DKIM, "sel._domainkey.example.com", Kind.TXT, "v=DKIM1; k=rsa; p=K")
    second = dkim_record("example.com", "sel2", ED25519_SHA256, "K")
    assert (second.name, second.value) == ("sel2._domainkey.example.com", "v=DKIM1; k=ed25519; p=K")
    # RFC 6376 §3.6.1: without k= it is an RSA key.
    assert check_record(KEY, ["p=KEY+/="]).good
    assert check_record(second, ["p=K"]).problem == "says k=rsa, the key is k=ed25519"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "missing"),
        (["v=spf1 -all"], "is no DKIM key"),
        (["v=DKIM1; p="], "is a revoked key: p= is empty"),
        (["v=DKIM1; p=KEY"], "ends after 3 characters of the key: a TXT string holds 255, split it"),
        (["v=DKIM1; p=OTHER"], "publishes another key"),
        (["p=KEY+/=", "p=KEY+/="], "more than one record: verifiers pick any"),
    ],
)
def test_the_problem_of_a_key_record(found: list[str], text: str) -> None:
    assert check_record(KEY, found).problem == text


def test_an_spf_record_is_completed_in_front_of_its_all() -> None:
    record = RECORDS[Purpose.SPF]
    mechanism = record.value.split()[1]
    assert f'"v=spf1 mx {mechanism} -all"' in check_record(record, ["v=spf1 mx -all"]).hint
    assert f'"v=spf1 mx {mechanism}"' in check_record(record, ["v=spf1 mx"]).hint


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("mail.example.com", True),
        ("MX.Example.CO.UK.", True),
        ("localhost", False),
        ("LOCALHOST.", False),
        ("localhost.localdomain", False),
        ("server", False),
        ("box.local", False),
        ("a.internal", False),
        ("host.home.arpa", False),
        ("x.localhost", False),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_which_host_names_can_stand_in_the_dns(name: str, public: bool) -> None:
    assert is_public_host(name) is public


def test_a_name_that_is_not_public_is_said_with_the_key_that_sets_it() -> None:
    assert name_warnings(ServerNames("mail.example.com", "mx.example.com")) == []
    one, other = name_warnings(ServerNames("localhost", "box.local"))
    assert one == 'the sending host is called "localhost", which is no public name: set sender.hostname, or give --host'
    assert other == 'the server for bounces is called "box.local", which is no public name: set smtp.hostname'
    [same] = name_warnings(ServerNames("localhost", "localhost"))
    assert "sender.hostname" in same
