"""What to publish in the DNS, and the verdict on what is found there."""

import pytest

from kannon.mail.publish import Finding, Purpose, Record, Servers, judge, records_for

RECORDS = {
    r.purpose: r for r in records_for("example.com", "sel", "KEY+/=", Servers("mx.example.net", "mx.example.net"))
}

CASES: list[tuple[Purpose, list[str], bool]] = [
    (Purpose.DKIM, ["v=DKIM1; k=rsa; p=KEY+/="], True),
    (Purpose.DKIM, ["p = KEY +/= ; t=s"], True),
    (Purpose.DKIM, [], False),
    (Purpose.DKIM, ["v=DKIM1; p="], False),
    (Purpose.DKIM, ["v=DKIM1; p=OTHER"], False),
    (Purpose.DKIM, ["v=DKIM1; p=OTHER", "v=DKIM1; p=KEY+/="], False),
    (Purpose.SPF, ["v=spf1 include:x.net +A:MX.example.net -all"], True),
    (Purpose.SPF, ["text", "v=spf1 a:mx.example.net ~all"], True),
    (Purpose.SPF, ["v=spf10 a:mx.example.net"], False),
    (Purpose.SPF, ["v=spf1 include:mx.example.net ~all"], False),
    (Purpose.SPF, ["v=spf1 a:mx.example.net ~all", "v=spf1 -all"], False),
    (Purpose.SPF, [], False),
    (Purpose.DMARC, ["v=DMARC1; p=quarantine; pct=5"], True),
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
def test_verdicts(purpose: Purpose, found: list[str], good: bool) -> None:
    finding = judge(RECORDS[purpose], found)
    assert finding.good is good
    assert bool(finding.text) is not good


def test_what_is_published_will_do() -> None:
    for record in RECORDS.values():
        assert judge(record, [record.value]) == Finding(True, ""), record


def test_a_tracking_host_of_the_operators_own_replaces_stats() -> None:
    records = records_for("example.com", "sel", "K", Servers("mx.a.net", "in.a.net", "links.a.net"))
    assert {r.name for r in records if r.purpose is Purpose.TRACKING} == {"links.a.net"}
    assert [r.value for r in records if r.purpose is Purpose.BOUNCES] == ["10 in.a.net."]
    assert isinstance(records[0], Record)
