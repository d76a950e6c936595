"""What a report says: the value the reader returns.

Out of `read_report`. `code` 0 and `enhanced_status` "" mean the report names none; nothing is invented.
"""

from dataclasses import dataclass
from enum import StrEnum

MAX_WORDS = 1000


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

    `recipient` is the address the report speaks of, as far as it says; `host` the server whose words are in `text`.
    """

    kind: ReportKind
    permanent: bool = False
    code: int = 0
    enhanced_status: str = ""
    text: str = ""
    recipient: str = ""
    host: str = ""


def one_line(text: str) -> str:
    return " ".join(text[: MAX_WORDS * 4].split())[:MAX_WORDS]
