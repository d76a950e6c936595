"""A mail to dmarc@ or tlsrpt@ of a tenant's domain → the report in it.

In: a whole mail, of anyone. Out: a report about that domain, or one below or above it. Raises UnreadableReport: the
mail has no report, or it is about another domain, or it is absurd.
"""

from datetime import datetime
from typing import Final

from kannon.mail.address import sender_authorized
from kannon.mail.reports.dmarc import parse_dmarc
from kannon.mail.reports.report import DmarcReport, ReceivedTlsReport, UnreadableReport, is_within
from kannon.mail.reports.tlsrpt import parse_tls_report
from kannon.mail.reports.unpack import Form, unpack

MAILBOXES: Final = frozenset({"dmarc", "tlsrpt"})
"""Local parts of the addresses that take reports; either takes both kinds."""


def read_report(mail: bytes, domain: str, now: datetime) -> DmarcReport | ReceivedTlsReport:
    content = unpack(mail)
    report = parse_dmarc(content.data, now) if content.form is Form.XML else parse_tls_report(content.data, now)
    # A policy of example.com also holds for mail.example.com, and a report of it may come to that domain's address.
    if not is_within(report.domain, domain) and not sender_authorized(report.domain, domain):
        raise UnreadableReport(f"the report is about {report.domain}, this address takes those about {domain}")
    return report
