"""Reading what comes back to a bounce address: failure, delay, complaint, prose (RFC 3464, 5965, 3834)."""

from kannon.mail.report.reader import read_report
from kannon.mail.report.values import Report, ReportKind

__all__ = ["Report", "ReportKind", "read_report"]
