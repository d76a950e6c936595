"""The mail that carries a TLS report (RFC 8460 §5.3). No I/O.

In: the report as compressed JSON. Out: a complete message, without Date, Message-ID and signature.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP

from kannon.mail.tls_report import Reporter, report_id


@dataclass(frozen=True, slots=True)
class ReportMail:
    """`key`: the same for a repeated mail of the same report."""

    sender: str
    recipient: str
    subject: str
    message: bytes
    key: str


def make_report_mail(day: date, domain: str, compressed: bytes, reporter: Reporter, recipient: str) -> ReportMail:
    submitter = reporter.contact.rpartition("@")[2]
    identity = report_id(day, domain, reporter.contact)
    # RFC 8460 §5.3: the text of the subject is given.
    subject = f"Report Domain: {domain} Submitter: {submitter} Report-ID: <{identity}>"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = reporter.contact
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["TLS-Report-Domain"] = domain
    mail["TLS-Report-Submitter"] = submitter
    mail["TLS-Required"] = "No"  # RFC 8460 §3: a report goes out also where TLS fails; RFC 8689 §3
    mail.set_content(
        f"This is a report on how TLS with the mail servers of {domain} went on {day.isoformat()} (UTC),\r\n"
        f"from {reporter.organization}. The attachment is for programs (RFC 8460).\r\n"
    )
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = begin + timedelta(days=1, seconds=-1)
    name = f"{submitter}!{domain}!{int(begin.timestamp())}!{int(end.timestamp())}!{identity.partition('@')[0]}.json.gz"
    mail.add_attachment(compressed, maintype="application", subtype="tlsrpt+gzip", filename=name)
    boundary = f"=_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"  # the same for a repeated mail
    mail.replace_header("Content-Type", f'multipart/report; report-type="tlsrpt"; boundary="{boundary}"')
    return ReportMail(reporter.contact, recipient, subject, mail.as_bytes(), f"tlsrpt {identity} {recipient}")
