"""parsedmarc, a reader of another author, finds the same numbers in the same reports, and in the ones that we send."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kannon.mail.reports.read import read_report
from kannon.mail.reports.report import DmarcReport
from kannon.mail.tls_report import (
    AppliedPolicy,
    PolicyType,
    Reporter,
    ResultType,
    TlsCount,
    TlsResult,
    make_report,
)
from tests.support.received_reports import DOMAIN, NOW, PROVIDERS
from tests.support.throwaway import run_script, throwaway_python

pytestmark = pytest.mark.long

DMARC = """
import json, sys, parsedmarc
reports = [parsedmarc.parse_aggregate_report_xml(xml, offline=True) for xml in json.load(sys.stdin)]
print(json.dumps([
    {
        "org": each["report_metadata"]["org_name"],
        "id": each["report_metadata"]["report_id"],
        "domain": each["policy_published"]["domain"],
        "policy": each["policy_published"]["p"],
        "records": [
            [r["source"]["ip_address"], r["count"], r["policy_evaluated"]["disposition"], r["alignment"]["dkim"],
             r["alignment"]["spf"], r["identifiers"]["header_from"],
             [[d["domain"], d["result"]] for d in r["auth_results"]["dkim"]]]
            for r in each["records"]
        ],
    }
    for each in reports
]))
"""
TLS = """
import json, sys, parsedmarc
print(json.dumps(parsedmarc.parse_smtp_tls_report_json(json.load(sys.stdin)), default=str))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return throwaway_python("parsedmarc==11.1.0")


def ours(mail: bytes) -> dict[str, Any]:
    report = read_report(mail, DOMAIN, NOW)
    assert isinstance(report, DmarcReport)
    return {
        "org": report.reporter,
        "id": report.report_id,
        "domain": report.domain,
        "policy": report.policy,
        "records": [
            [
                each.source,
                each.count,
                each.disposition,
                each.dkim,
                each.spf,
                each.header_from,
                [[d.domain, d.result] for d in each.dkim_results],
            ]
            for each in report.records
        ],
    }


def test_the_same_numbers_in_twenty_dmarc_reports(python: Path) -> None:
    texts = [provider.xml.decode("iso-8859-1" if provider.name == "rspamd" else "utf-8") for provider in PROVIDERS]
    theirs = run_script(python, DMARC, texts)
    for provider, found in zip(PROVIDERS, theirs, strict=True):
        expected = ours(provider.mail)
        assert found.pop("org").lower() == expected.pop("org").lower()  # it lowers what looks like a domain
        assert found == expected, provider.name


def test_the_tls_report_that_we_send_has_the_same_numbers(python: Path) -> None:
    day = date(2025, 11, 25)
    sts = AppliedPolicy(PolicyType.STS, ("version: STSv1", "mode: enforce", "mx: mx.example.com"), ("mx.example.com",))
    tlsa = AppliedPolicy(PolicyType.TLSA, ("3 1 1 00ff",), ("mx.example.com",))
    expired = TlsResult(sts, ResultType.EXPIRED, "mx1.example.com", "203.0.113.1", "192.0.2.1", "late")
    counts = [
        TlsCount(day, DOMAIN, TlsResult(sts), 5326),
        TlsCount(day, DOMAIN, expired, 100),
        TlsCount(day, DOMAIN, TlsResult(sts, ResultType.STARTTLS, "mx2.example.com"), 200),
        TlsCount(day, DOMAIN, TlsResult(tlsa, ResultType.TLSA_INVALID, "mx.example.com"), 3),
        TlsCount(day, DOMAIN, TlsResult(), 7),
    ]
    text = make_report(day, DOMAIN, counts, Reporter("Company-X", "sts-reporting@company-x.example"))
    found = run_script(python, TLS, text.decode())
    assert found["organization_name"] == "Company-X"
    assert found["contact_info"] == "sts-reporting@company-x.example"
    by_policy = {each["policy_type"]: each for each in found["policies"]}
    sums = {kind: (each["successful_session_count"], each["failed_session_count"]) for kind, each in by_policy.items()}
    assert sums == {"sts": (5326, 300), "tlsa": (0, 3), "no-policy-found": (7, 0)}
    failures = Counter(
        {each["result_type"]: each["failed_session_count"] for each in by_policy["sts"]["failure_details"]}
    )
    assert failures == {"certificate-expired": 100, "starttls-not-supported": 200}
