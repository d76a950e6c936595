"""What a delivery is called outside the house: its Message-ID, its pseudonym, and the time its tokens count from.

All are derived from what the pool row keeps (secret, due time): a retry yields the same. The two names are drawn from
the secret by one-way functions under different labels: neither leads to the other, nor to the recipient.
"""

import hashlib
from datetime import datetime, timedelta


def make_message_id(secret: bytes, domain: str) -> str:
    """RFC 5322 §3.6.4 without the angle brackets: opaque, unique per delivery."""
    return f"{hashlib.sha256(b'message-id' + secret).hexdigest()[:32]}@{domain}"


def make_pseudonym(secret: bytes) -> str:
    """32 hexadecimal digits; the local part of a pseudonymous reader's address."""
    return hashlib.sha256(b"pseudonym" + secret).hexdigest()[:32]


def tracking_address(name: str, domain: str) -> str:
    """A reader's address that is no mailbox."""
    return f"{name}@track.{domain}"


def anonymous_address(domain: str) -> str:
    """The one name of all readers who are not told apart."""
    return tracking_address("anonymous", domain)


def issued_at(due_at: datetime, now: datetime, lifetime: timedelta) -> datetime:
    """The time from which a delivery's tokens count: its due time, the same on every retry.

    A delivery that waited very long moves on by half a lifetime, so nothing goes out that is about to expire.
    """
    half = lifetime / 2
    late = now - due_at
    return due_at + late // half * half if late > half else due_at
