"""One signed mail on its way from the dispatcher to a remote server, and what is needed to report on it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Envelope:
    """`body` is the whole signed message: CRLF line ends, no line over 998 octets, not dot-stuffed, no final dot.

    `attempt` counts from 1; `due_at` (aware UTC) is when this delivery first became due, the start of its retry window.
    """

    delivery_id: int
    message_id: str  # the batch's
    domain: str  # the tenant's
    mail_from: str  # RFC 5321 reverse-path, the bounce address
    rcpt_to: str
    body: bytes
    attempt: int
    due_at: datetime
