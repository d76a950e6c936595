"""How events and states look: the words and the colours of every page."""

from collections.abc import Mapping

GOOD, WARN, BAD, PLAIN = "good", "warn", "bad", ""
LOOKS: Mapping[str, str] = {
    "accepted": PLAIN,
    "rejected": BAD,
    "delivered": GOOD,
    "error": WARN,
    "failed": BAD,
    "bounced": BAD,
    "opened": GOOD,
    "clicked": GOOD,
    "complained": BAD,
    "unsubscribed": WARN,
}
WORDS: Mapping[str, str] = {"error": "deferred"}
"""An event that a reader knows under another name."""
STATES: Mapping[str, str] = {
    "to_validate": "to be checked",
    "validating": "being checked",
    "scheduled": "scheduled",
    "sending": "at a sender",
}
OUTCOMES = (("delivered", "s1"), ("error", "s2"), ("bounced", "s3"), ("failed", "s4"))
"""What the charts show, and their colours."""


def look(event_type: str) -> str:
    return LOOKS.get(event_type, PLAIN)


def word(event_type: str) -> str:
    return WORDS.get(event_type, event_type)


def state_word(state: str) -> str:
    return STATES.get(state, state)
