"""Report: the result of `read_report`.

`code` 0 and `enhanced_status` "" mean that the report has none; nothing is invented.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

MAX_TEXT = 1000
MAX_ADDRESS, MAX_HOST = 320, 255  # RFC 5321 §4.5.3.1, RFC 1035 §2.3.4


class ReportKind(StrEnum):
    """FAILURE becomes a bounced event, COMPLAINT a complained event; every other kind is only logged."""

    FAILURE = "failure"
    DELAYED = "delayed"
    DELIVERED = "delivered"  # or relayed, or expanded: RFC 3464 §2.3.3
    COMPLAINT = "complaint"
    AUTH_FAILURE = "auth_failure"  # a signature or policy check failed: RFC 6591
    AUTO_REPLY = "auto_reply"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """`permanent` only where `kind` is FAILURE. `text` is the remote server's, one line of at most 1000 characters,
    without the codes that begin it: as the text of a reply (kannon.mail.verdict.Reply), so that an event of a report
    reads as one of a sender.

    `recipient` is the address in question, or empty; `host` is the author of `text`; `sent_at` (aware UTC) is the Date
    field, as untrusted as the rest. No string has control characters.
    """

    kind: ReportKind
    permanent: bool = False
    code: int = 0
    enhanced_status: str = ""
    text: str = ""
    recipient: str = ""
    host: str = ""
    sent_at: datetime | None = None

    def cleaned(self, sent_at: datetime | None) -> "Report":
        return replace(
            self,
            text=one_line(without_codes(self.text, self.code)),
            recipient=one_line(self.recipient)[:MAX_ADDRESS],
            host=one_line(self.host)[:MAX_HOST],
            sent_at=sent_at,
        )


def without_codes(text: str, code: int) -> str:
    """The text of a reply without its code and enhanced status, which each line of a reply repeats (RFC 5321 §4.2.1),
    and which Diagnostic-Code folds into one line."""
    if not code:
        return text
    status = r"#?[245]\.\d{1,3}\.\d{1,3}(?![\w.])[ :;,-]{0,3}"
    repeated = rf"(?<![\w.]){code}(?:[ -]{{1,3}}{status}|-(?=\w)[ ]?)"
    leading = rf"(?:\A|(?<=: )){code}(?:[ :;,-]{{1,3}}|\Z)(?:{status})?"
    return re.sub(rf"{leading}|{repeated}", "", " ".join(text[: MAX_TEXT * 4].split()))


def one_line(text: str) -> str:
    """Single spaces, no control characters (PostgreSQL takes no NUL), at most MAX_TEXT characters."""
    line = " ".join(text[: MAX_TEXT * 4].split())[:MAX_TEXT]
    if line.isprintable():
        return line
    return "".join(c for c in line if c.isprintable() or c == "\u3000")
