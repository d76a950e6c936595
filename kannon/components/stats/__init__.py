"""stats: stores events and TLS results, and reports the latter to recipients' domains."""

from kannon.components.stats.component import PAGE, Stats
from kannon.components.stats.submit import Submitter
from kannon.components.stats.tls_reports import TlsReports

__all__ = ["PAGE", "Stats", "Submitter", "TlsReports"]
