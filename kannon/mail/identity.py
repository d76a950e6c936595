"""What a delivery is called outside the house: its Message-ID, its pseudonym, and the time its tokens count from.

All are derived from what the pool row keeps (secret, due time): a retry yields the same. The two names are drawn from
the secret by one-way functions under different labels: neither leads to the other, nor to the recipient.
"""

import base64
import hashlib
from datetime import datetime, timedelta


def make_message_id(secret: bytes, domain: str) -> str:
    """RFC 5322 §3.6.4 without the angle brackets: opaque, unique per delivery."""
    digest = hashlib.sha256(b"message-id\0" + secret).digest()
    return f"{base64.b32encode(digest[:15]).decode('ascii').lower()}@{domain}"


def make_pseudonym(secret: bytes) -> str:
    """32 hexadecimal digits; the local part of a pseudonymous reader's address."""
    return hashlib.sha256(b"pseudonym\0" + secret).hexdigest()[:32]


def track_address(name: str, domain: str) -> str:
    return f"{name}@track.{domain}"


def issued_at(due_at: datetime, now: datetime, lifetime: timedelta) -> datetime:
    """The time from which a delivery's tokens count: its due time, the same on every retry.

    A delivery that waited very long moves on by half a lifetime, so nothing goes out that is about to expire.
    """
    half = max(lifetime / 2, timedelta(seconds=1))
    return due_at + max(now - due_at, timedelta(0)) // half * half
