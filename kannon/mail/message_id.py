"""Public identifiers of a delivery: its Message-ID, its pseudonym, and the start of its tokens' lifetime.

All are derived from the row of the pool (secret, due time), so that a retry has the same. Message-ID and pseudonym are
hashes of the secret with different labels: neither reveals the other or the recipient.
"""

import hashlib
from datetime import datetime, timedelta


def make_message_id(secret: bytes, domain: str) -> str:
    """RFC 5322 §3.6.4 without the angle brackets: opaque, unique per delivery."""
    return f"{hashlib.sha256(b'message-id' + secret).hexdigest()[:32]}@{domain}"


def make_pseudonym(secret: bytes) -> str:
    """32 hexadecimal digits: the local part of a pseudonymous recipient's address in events."""
    return hashlib.sha256(b"pseudonym" + secret).hexdigest()[:32]


def tracking_address(name: str, domain: str) -> str:
    """The address of a pseudonymous or anonymous recipient in events; it is no mailbox."""
    return f"{name}@track.{domain}"


def anonymous_address(domain: str) -> str:
    """The address that all anonymous opens and clicks share."""
    return tracking_address("anonymous", domain)


def issued_at(due_at: datetime, now: datetime, lifetime: timedelta) -> datetime:
    """The start of the lifetime of a delivery's tokens: its due time, the same on every retry.

    For a delivery that waits very long it moves in steps of half a lifetime, so that no mail leaves with tokens that
    expire soon.
    """
    half = lifetime / 2
    late = now - due_at
    return due_at + late // half * half if late > half else due_at
