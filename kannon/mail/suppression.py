"""Suppression: whom a domain does not write to any more, and why.

In: a bounced or complained event. Out: the suppression it calls for, or None. An address is dead when its own server
said so for good; what a server says about our mail, our address or the size of a mailbox suppresses nobody.
Refuses to guess: where a reply carries no status that says something, its words must name the recipient.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kannon.mail.address import canonical_domain
from kannon.mail.event import Event, EventType
from kannon.mail.verdict import Stage

# RFC 3463 §3.2, §3.3; RFC 7505 §4.2 for 5.1.10.
DEAD = frozenset(
    {
        "5.1.1",  # no such mailbox
        "5.1.2",  # no such domain
        "5.1.3",  # not an address at all, says its own server
        "5.1.6",  # moved, no forwarding address
        "5.1.10",  # null MX: the domain takes no mail
        "5.2.1",  # mailbox disabled
    }
)
_VAGUE = frozenset({"", "5.0.0", "5.1.0", "5.2.0", "5.3.0", "5.4.0", "5.5.0", "5.7.0"})
"""Statuses that leave it to the words."""
_BEFORE_RCPT = frozenset({Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH, Stage.MAIL})
"""Where the server does not know yet whom we mean: what it says is about us, `User unknown` about our own address."""
_WHO = r"(?:user|recipient|mailbox|account|address|customer)"
_DEAD_WORDS = re.compile(
    rf"{_WHO}\S{{0,3}}(?:\s\S{{1,80}}){{0,6}}?\s(?:is |has been )?"
    r"(?:unknown|not found|does ?n[o']t exist|does not exist|disabled|inactive|deactivated|closed|deleted|not known)"
    rf"|(?:unknown|no such|invalid|non-?existent|inactive) (?:local )?{_WHO}"
    r"|no mailbox (?:here )?by that name|does(?:n't| not) have an? [\w.-]{1,60} account|not our customer"
)
_NOT_THE_ADDRESS = re.compile(
    r"spam|black ?list|block ?list|reputation|polic(?:y|ies)|unsolicited|\b(?:spf|dkim|dmarc|rbl|dnsbl)\b"
    r"|quota|mailbox (?:is )?full|too (?:large|big|many|often)|\brate\b|sender (?:address|domain|verify|rejected)"
    r"|relay(?:ing)? (?:access )?(?:denied|not|is not|prohibited|refused)|(?:to|can ?not|we do not|open) relay|temporar"
)
"""Words about us, the mail or the moment: whatever status comes with them, they do not say that the address is dead."""


class Cause(StrEnum):
    """Why an address is suppressed."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One address of one domain. `email` is as it was written; `expires_at` None is never.

    The rest says why: the event that called for it (`event_id` empty: an operator did, see `note`), its delivery, and
    what the remote server said.
    """

    domain: str
    email: str
    cause: Cause
    since: datetime
    expires_at: datetime | None = None
    event_id: str = ""
    message_id: str = ""
    delivery_id: int = 0
    code: int = 0
    enhanced_status: str = ""
    text: str = ""
    host: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class SuppressionRule:
    """What the configuration says. An expiry of zero is never."""

    enabled: bool = True
    bounce_expiry: timedelta = timedelta(0)
    complaint_expiry: timedelta = timedelta(0)

    def judge(self, event: Event) -> Suppression | None:
        """The suppression that an event calls for. May be asked again: the same event gives the same answer."""
        if not self.enabled or not event.email:
            return None
        if event.type is EventType.COMPLAINED:
            cause, expiry = Cause.COMPLAINED, self.complaint_expiry
        elif says_dead(event):
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


def says_dead(event: Event) -> bool:
    """Whether a bounce says that its address is dead: nobody there, and never again."""
    if event.type is not EventType.BOUNCED or not event.permanent:
        return False
    if event.stage in _BEFORE_RCPT:
        return False
    text = event.text.lower()
    if _NOT_THE_ADDRESS.search(text):
        return False
    return event.enhanced_status in DEAD or (event.enhanced_status in _VAGUE and bool(_DEAD_WORDS.search(text)))


def address_key(email: str) -> str:
    """The form in which addresses are compared: two that share it are the same for suppression.

    RFC 5321 §2.4: a local part may tell letter case apart, and hardly any server does; here it does not, so that
    nobody who was suppressed is written to as `Bob@`. Nothing else is taken for alike: neither `+tags` nor dots.
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
