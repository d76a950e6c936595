"""Reads mail to a bounce address: failures, delays, complaints, automatic replies (RFC 3464, 5965, 3834)."""

from kannon.mail.bounce.read import read_report
from kannon.mail.bounce.report import Report, ReportKind

__all__ = ["Report", "ReportKind", "read_report"]
