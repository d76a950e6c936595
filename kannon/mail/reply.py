"""Parses a remote server's reply: code, enhanced status, text, and the requested delay.

In: the lines of one SMTP reply, as bytes, code included. Out: `Reply`, or seconds. The functions never raise.
"""

import re
from collections.abc import Sequence

from kannon.mail.verdict import Reply

MAX_TEXT = 1000
MAX_RETRY_AFTER = 24 * 3600
"""A longer request counts as a day; the retry window is usually shorter."""

# RFC 3463 §2: class "." subject "." detail, at the beginning of each line's text (RFC 2034 §4).
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

# A span after "in", "for", … counts only if the text mentions another attempt: "100 mails in 60 minutes" is a rate.
_AGAIN = re.compile(
    r"\b(?:again|re-?try|retrying|back|gr[ae]y-?list\w*|wait|delay\w*|resend|reconnect)\b", re.IGNORECASE
)
_SPAN = re.compile(
    r"\b(?:in|after|for|wait|least|every)\s+(\d{1,6})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\b(?:in|after|for|wait)\s+(\d{1,2}):(\d{2}):(\d{2})\b", re.IGNORECASE)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_reply(code: int, lines: Sequence[bytes]) -> Reply:
    """`lines` start with three digits and a separator each."""
    enhanced = ""
    texts = []
    for line in lines:
        text = _CONTROLS.sub(" ", line[4:].decode("utf-8", "replace")).strip()
        match = _ENHANCED.match(text)
        if match:
            enhanced = enhanced or match[1]
            text = text[match.end() :]
        if text:
            texts.append(text)
    return Reply(code, " ".join(texts)[:MAX_TEXT], enhanced)


def retry_after(reply: Reply) -> int | None:
    """The delay in seconds that a temporary reply requests ("greylisted, try again in 5 minutes"), or None."""
    if reply.code // 100 != 4 or not _AGAIN.search(reply.text):
        return None
    if clock := _CLOCK.search(reply.text):
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    elif span := _SPAN.search(reply.text):
        seconds = int(span[1]) * _UNIT_SECONDS[span[2][0].lower()]
    else:
        return None
    return min(seconds, MAX_RETRY_AFTER)
