"""One signed mail on its way from the dispatcher to a remote server, what is needed to report on it, and its return."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Envelope:
    """`body` is the whole signed message: CRLF line ends, no line over 998 octets, not dot-stuffed, no final dot.

    `attempt` counts from 1; `due_at` (aware UTC) is when this delivery first became due, the start of its retry window;
    `turn` is that of the Delivery.
    """

    delivery_id: int
    message_id: str  # the batch's
    domain: str  # the tenant's
    mail_from: str  # RFC 5321 reverse-path, the bounce address
    rcpt_to: str
    body: bytes
    attempt: int
    due_at: datetime
    turn: int = 0


@dataclass(frozen=True, slots=True)
class ThrottledDelivery:
    """An envelope that the sender gave back unsent: its destination has no room for so many seconds. `rate` is how many
    mails a second it takes, 0 where nothing is known."""

    delivery_id: int
    turn: int
    seconds: float
    rate: float = 0.0
