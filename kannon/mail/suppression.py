"""Suppression: the addresses that a domain no longer sends to, and why.

In: an event. Out: the suppression that it causes, or None. Hard bounces suppress (kannon.mail.bounce.hard), complaints
and unsubscribes always do. A domain that does not exist takes two bounces, days apart. No event
suppresses an address of the simulator: it works again.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kannon.mail.address import canonical_domain
from kannon.mail.bounce.hard import is_hard_bounce, is_missing_domain
from kannon.mail.event import Event, EventType
from kannon.mail.simulator import simulated_name

SECOND_BOUNCE_AFTER = timedelta(days=3)
"""A registrar's grace and a broken zone file last a day or two. The second bounce is of another delivery."""
FIRST_BOUNCE_KEPT = timedelta(days=180)
"""A first bounce counts for so long: a quarterly mail meets it twice."""


class Cause(StrEnum):
    """Why an address is suppressed."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MANUAL = "manual"
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One address of one domain. `email` is as it was written; `expires_at` None is never; with a `tag` the domain
    still sends its other mail. An event has no tag before it is stored: kannon.db.stats_write adds that of
    an unsubscribe.

    The other fields describe the cause: the event (`event_id` empty: an operator, see `note`), its delivery, and the
    reply of the remote server.
    """

    domain: str
    email: str
    cause: Cause
    since: datetime
    expires_at: datetime | None = None
    tag: str = ""
    event_id: str = ""
    message_id: str = ""
    delivery_id: int = 0
    code: int = 0
    enhanced_status: str = ""
    text: str = ""
    host: str = ""
    note: str = ""

    @property
    def needs_second(self) -> bool:
        """Whether it takes effect only with a second bounce, SECOND_BOUNCE_AFTER to FIRST_BOUNCE_KEPT later."""
        return self.cause is Cause.BOUNCED and is_missing_domain(self.enhanced_status, self.text)


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """As configured. An expiry of zero is never."""

    enabled: bool = True
    bounce_expiry: timedelta = timedelta(0)
    complaint_expiry: timedelta = timedelta(0)

    def apply(self, event: Event) -> Suppression | None:
        """The suppression that an event causes. The same event always has the same result."""
        if not event.email or simulated_name(event.email):
            return None
        if event.type is EventType.UNSUBSCRIBED:
            # Kept in any case, and never expires: the recipient has decided.
            cause, expiry = Cause.UNSUBSCRIBED, timedelta(0)
        elif not self.enabled:
            return None
        elif event.type is EventType.COMPLAINED:
            cause, expiry = Cause.COMPLAINED, self.complaint_expiry
        elif is_hard_bounce(event):
            cause, expiry = Cause.BOUNCED, self.bounce_expiry
        else:
            return None
        return Suppression(
            domain=event.domain,
            email=event.email,
            cause=cause,
            since=event.at,
            expires_at=event.at + expiry if expiry else None,
            event_id=event.event_id,
            message_id=event.message_id,
            delivery_id=event.delivery_id,
            code=event.code,
            enhanced_status=event.enhanced_status,
            text=event.text,
            host=event.host,
        )


def address_key(email: str) -> str:
    """The form in which addresses are compared: two with the same form are the same for suppression.

    RFC 5321 §2.4: local parts may be case-sensitive, and hardly any server treats them so. Here they are not, so that
    `Bob@` receives no mail once `bob@` is suppressed. `+tags` and dots do make a difference.
    """
    local, at, domain = email.strip().rpartition("@")
    if not at:
        return _fold(domain)
    try:
        domain = canonical_domain(domain)
    except ValueError:
        domain = _fold(domain)
    return f"{_fold(local)}@{domain}"


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).lower()
