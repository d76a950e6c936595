"""Hard bounces: the recipient's server states that the address does not exist, permanently.

In: a bounced event. Out: yes or no. A reply about the sender, the mail, policy or mailbox size is no hard bounce. Where
the enhanced status has no detail, the text must name the recipient. A domain that does not exist may be a domain whose
renewal or zone file failed for a day, and the answer comes from some resolver, not from the recipient's own server.
"""

import re

from kannon.mail.event import Event, EventType
from kannon.mail.verdict import Stage

NO_SUCH_DOMAIN = "5.1.2"
# RFC 3463 §3.2, §3.3; RFC 7505 §4.2 for 5.1.10.
HARD_STATUSES = frozenset(
    {
        "5.1.1",  # no such mailbox
        NO_SUCH_DOMAIN,
        "5.1.3",  # invalid address syntax, according to the recipient's server
        "5.1.6",  # moved, no forwarding address
        "5.1.10",  # null MX: the domain accepts no mail
        "5.2.1",  # mailbox disabled
    }
)
_GENERIC_STATUSES = frozenset({"", "5.0.0", "5.1.0", "5.2.0", "5.3.0", "5.4.0", "5.5.0", "5.7.0"})
"""The text decides."""
_BEFORE_RCPT = frozenset({Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH, Stage.MAIL})
"""The server has not seen the recipient yet: `User unknown` is about the reverse path."""
_RECIPIENT = r"(?:user|recipient|mailbox|account|address|customer)"
_UNKNOWN_RECIPIENT = re.compile(
    rf"{_RECIPIENT}\S{{0,3}}(?:\s\S{{1,80}}){{0,6}}?\s(?:is |has been )?"
    r"(?:unknown|not found|does ?n[o']t exist|does not exist|disabled|inactive|deactivated|closed|deleted|not known)"
    rf"|(?:unknown|no such|invalid|non-?existent|inactive) (?:local )?{_RECIPIENT}"
    r"|no mailbox (?:here )?by that name|does(?:n't| not) have an? [\w.-]{1,60} account|not our customer"
)
_MISSING_DOMAIN = re.compile(
    r"(?:no such|unknown|non-?existent) (?:domain|host)"
    r"|\b(?:domain|host) (?:name )?(?:of the recipient )?(?:is )?(?:not found|unknown|does ?(?:n'|no| no)t exist)"
)
"""The domain is missing, whatever the status: `Recipient address rejected: Domain not found`."""
_OTHER_CAUSE = re.compile(
    r"spam|black ?list|block ?list|reputation|polic(?:y|ies)|unsolicited|\b(?:spf|dkim|dmarc|rbl|dnsbl)\b"
    r"|quota|mailbox (?:is )?full|too (?:large|big|many|often)|\brate\b|sender (?:address|domain|verify|rejected)"
    r"|relay(?:ing)? (?:access )?(?:denied|not|is not|prohibited|refused)|(?:to|can ?not|we do not|open) relay|temporar"
)
"""The sender, the mail or the moment is the cause, regardless of the status."""


def is_hard_bounce(event: Event) -> bool:
    """Whether no later mail to this address can arrive."""
    if event.type is not EventType.BOUNCED or not event.permanent or event.stage in _BEFORE_RCPT:
        return False
    text = event.text.lower()
    if _OTHER_CAUSE.search(text):
        return False
    if event.enhanced_status in HARD_STATUSES:
        return True
    return event.enhanced_status in _GENERIC_STATUSES and _UNKNOWN_RECIPIENT.search(text) is not None


def is_missing_domain(enhanced_status: str, text: str) -> bool:
    """Of a hard bounce: whether it states that the domain, not the mailbox, does not exist."""
    return enhanced_status == NO_SUCH_DOMAIN or _MISSING_DOMAIN.search(text.lower()) is not None
