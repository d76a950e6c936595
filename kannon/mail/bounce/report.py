"""What a report says: the value the reader returns.

Out of `read_report`. `code` 0 and `enhanced_status` "" mean the report names none; nothing is invented.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

MAX_WORDS = 1000
MAX_ADDRESS, MAX_HOST = 320, 255  # RFC 5321 §4.5.3.1, RFC 1035 §2.3.4


class ReportKind(StrEnum):
    """Only FAILURE is a bounce; COMPLAINT is stored as such; the rest is logged, no more."""

    FAILURE = "failure"
    DELAYED = "delayed"
    DELIVERED = "delivered"  # or relayed, or expanded: RFC 3464 §2.3.3
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """`permanent` only where `kind` is FAILURE. `text` is the remote's own words on one line, at most 1000 characters.

    `recipient` is the address the report speaks of, as far as it says; `host` the server whose words are in `text`;
    `sent_at` (aware UTC) its Date, which is whatever the sender wrote. No string holds control characters.
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
            text=one_line(self.text),
            recipient=one_line(self.recipient)[:MAX_ADDRESS],
            host=one_line(self.host)[:MAX_HOST],
            sent_at=sent_at,
        )


def one_line(text: str) -> str:
    """Single spaces, no control characters (PostgreSQL takes no NUL), at most MAX_WORDS characters."""
    line = " ".join(text[: MAX_WORDS * 4].split())[:MAX_WORDS]
    if line.isprintable():
        return line
    return "".join(c for c in line if c.isprintable() or c == "\u3000")
