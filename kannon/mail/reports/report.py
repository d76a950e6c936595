"""What a report says, whatever its form.

`DmarcReport`: how a receiver judged mail in a domain's name, by source address. `ReceivedTlsReport`: how senders'
connections to the domain's mail servers went.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

MAX_COUNT: Final = 10**9
"""Mails of a record, or sessions of a policy. More is a mistake or an attack."""
MAX_SPAN: Final = timedelta(days=35)
MAX_AGE: Final = timedelta(days=400)
SKEW: Final = timedelta(days=2)
MAX_TEXT: Final = 255


class UnreadableReport(Exception):
    """The mail is refused for good. The text is one line of ASCII, for the sender of the report."""

    def __init__(self, text: str) -> None:
        super().__init__(text.encode("ascii", "replace").decode()[:300])


@dataclass(frozen=True, slots=True)
class Span:
    """What the report is about. Aware UTC."""

    begin: datetime
    end: datetime

    @property
    def day(self) -> date:
        """The day that most of it lies in."""
        return (self.begin + (self.end - self.begin) / 2).date()


@dataclass(frozen=True, slots=True)
class DkimResult:
    """RFC 8601 §2.7.1: `result` is pass, fail, neutral, …"""

    domain: str
    selector: str
    result: str


@dataclass(frozen=True, slots=True)
class SpfResult:
    domain: str
    result: str


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """Mails from one source address with the same results. `dkim`, `spf`: whether it passed in alignment with the
    From domain. `disposition`: none, quarantine or reject."""

    source: str
    count: int
    header_from: str
    dkim: bool
    spf: bool
    disposition: str
    dkim_results: tuple[DkimResult, ...] = ()
    spf_results: tuple[SpfResult, ...] = ()

    @property
    def aligned(self) -> bool:
        return self.dkim or self.spf


@dataclass(frozen=True, slots=True)
class DmarcReport:
    """`domain`: whose policy was applied. `policy`: its p tag."""

    reporter: str
    report_id: str
    span: Span
    domain: str
    policy: str
    records: tuple[DmarcRecord, ...]


@dataclass(frozen=True, slots=True)
class TlsRecord:
    """`failure` empty: the sessions succeeded."""

    policy: str
    sessions: int
    failure: str = ""
    host: str = ""
    sender: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReceivedTlsReport:
    reporter: str
    report_id: str
    span: Span
    domain: str
    records: tuple[TlsRecord, ...]


def check_span(begin: datetime, end: datetime, now: datetime) -> Span:
    """Raises UnreadableReport."""
    if end < begin:
        raise UnreadableReport("the report ends before it begins")
    if end - begin > MAX_SPAN:
        raise UnreadableReport("the report is about more than a month")
    if begin < now - MAX_AGE or end > now + SKEW:
        raise UnreadableReport(f"the report is about {begin:%Y-%m-%d}, which is too long ago or in the future")
    return Span(begin.astimezone(UTC), end.astimezone(UTC))


def check_count(text: object, what: str) -> int:
    """Raises UnreadableReport."""
    number = text if isinstance(text, int) and not isinstance(text, bool) else None
    if isinstance(text, str) and text.strip().isascii() and text.strip().isdecimal() and len(text.strip()) <= 30:
        number = int(text)
    if number is None or number < 0:
        raise UnreadableReport(f"{what} is no number: {str(text)[:40]}")
    if number > MAX_COUNT:
        raise UnreadableReport(f"{what} is {number}: more than {MAX_COUNT}")
    return number


def is_within(name: str, domain: str) -> bool:
    return name == domain or name.endswith("." + domain)


def plain(text: str | None) -> str:
    """One line, short."""
    return " ".join("".join(c if c.isprintable() else " " for c in (text or "")[: 2 * MAX_TEXT]).split())[:MAX_TEXT]
