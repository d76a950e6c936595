"""Envelope: one signed mail between dispatcher and sender. ThrottledDelivery: its return without an attempt.
RedeliveredEnvelope: the question whether one may still be sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Envelope:
    """`body` is the whole signed message: CRLF line ends, no line over 998 octets, not dot-stuffed, no final dot.

    `attempt` counts from 1; `due_at` (aware UTC) is the time at which this delivery first became due, the start of its
    retry window; `requeues` is that of the Delivery. `require_tls`: it goes only to servers that are authenticated and
    promise the same for the next one (RFC 8689).
    """

    delivery_id: int
    message_id: str  # the batch's
    domain: str  # the tenant's
    mail_from: str  # RFC 5321 reverse-path, the bounce address
    rcpt_to: str
    body: bytes
    attempt: int
    due_at: datetime
    requeues: int = 0
    require_tls: bool = False


@dataclass(frozen=True, slots=True)
class ThrottledDelivery:
    """An envelope that the sender returns unsent: its destination accepts no mail for `seconds`. `rate` is the number
    of mails per second that it accepts, 0 if unknown. `domain` is the sender domain, "" from an older sender: whatever
    names a delivery names its tenant too, so that tenants can be divided between databases (docs/scaling.md). `reason`
    empty: the destination has no free connection."""

    delivery_id: int
    requeues: int
    seconds: float
    rate: float = 0.0
    domain: str = ""
    reason: str = ""


class RedeliveredEnvelope(NamedTuple):
    """An envelope that the stream delivers again. `deliveries` counts how often it did so by now."""

    delivery_id: int
    attempt: int
    requeues: int
    deliveries: int
