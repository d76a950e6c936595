"""Finds SMTP replies in prose: text in, reply code and enhanced status out.

A number counts as a reply code only if the grammar of a reply (RFC 5321 §4.2: code, space or hyphen, text; RFC 2034 §4:
enhanced status after the code) and the words around it agree; "for 432 seconds" and "port 587" do not.
"""

import re
from dataclasses import dataclass

_CODE = re.compile(r"(?<![\w.@/+=&?%-])([45]\d\d)(?![\w@/%]|\.\d)")
_ENHANCED = re.compile(r"(?<![\w.])([245]\.\d{1,3}\.\d{1,3})(?![\w.]*\.\d)(?!\w)")
_ENHANCED_AFTER = re.compile(r"[ \-:;,]{0,3}['\"(#]{0,2}([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
# The text after a code in a reply: a separator and words, an address, another code, or the end.
_TEXT_AFTER = re.compile(
    r"[ \t]{0,2}[-:;,)\]'\"]|\s{1,8}[\"'<(\[#*-]{0,3}[^\W_]|\s{0,4}\Z|[ \t]*\n|\s{1,8}<|\s*\.\s",
)
_UNIT_AFTER = re.compile(
    r"[ -]?(?:bytes?|kb|mb|[km]ib|k\b|seconds?|secs?|minutes?|mins?|hours?|days?|recipients|messages\b|mails\b"
    r"|more\b|times\b)",
    re.IGNORECASE,
)
_QUOTING_BEFORE = re.compile(
    r"(?:said|says|<<<|received >>>|reason|respon[sd]\w*(?: was)?|repl(?:y|ied)(?: was| with)?|error(?:[ _-]?code)?"
    r"|code|status|returned|was|diagnostic(?:-code)?|smtp|with|as follows|from remote mail server\b[^\n]{0,80})"
    r"[^\w\n]{0,8}\s{0,8}[\"'(\[<]?\Z",
    re.IGNORECASE,
)
_LINE_START = re.compile(r"(?:\A|\n)[ \t>*|]{0,16}[\"'(<\[]{0,2}\Z")
_COLON_BEFORE = re.compile(r"[:;>)\]][ \t\n]{0,12}[\"'(<\[]?\Z")
_ADDRESS_BEFORE = re.compile(r"@[\w.-]{1,40}>?[ \t]{0,4}\(\Z")
_CONTEXT = 48  # characters before and after a code that count

_MIN_WEIGHT = 3
_CERTAIN_WEIGHT = 6


@dataclass(frozen=True, slots=True)
class FoundReply:
    """`start` is its position in the text, -1 if there is none."""

    code: int = 0
    enhanced: str = ""
    start: int = -1


def find_reply(text: str, *, lenient: bool = False) -> FoundReply:
    """The 4xx or 5xx reply in `text` with the highest weight, the first of equals.

    `lenient` is for a text that is a diagnostic as a whole: its first candidate is the reply.
    """
    best = FoundReply()
    best_weight = 0 if lenient else _MIN_WEIGHT - 1
    for match in _CODE.finditer(text):
        weight, enhanced = _weigh(text, match.start(), match.end())
        if weight > best_weight:
            best_weight = weight
            best = FoundReply(int(match[1]), enhanced, match.start())
            if weight >= _CERTAIN_WEIGHT or lenient:
                break
    return best


def find_enhanced(text: str, classes: str = "45") -> str:
    """The first enhanced status of one of `classes`, preferably not x.0.0; "" if there is none."""
    found = [match[1] for match in _ENHANCED.finditer(text) if match[1][0] in classes]
    return next((status for status in found if not status.endswith(".0.0")), found[0] if found else "")


def _weigh(text: str, start: int, end: int) -> tuple[int, str]:
    """The evidence that the number at start:end is a reply code (0: none), and the status that follows it."""
    before = text[max(0, start - _CONTEXT) : start]
    after = text[end : end + _CONTEXT]
    match = _ENHANCED_AFTER.match(after)
    enhanced = match[1] if match and match[1][0] in "45" else ""
    if enhanced and enhanced[0] == text[start]:
        weight = 2 if enhanced.endswith(".0.0") else 3
    elif enhanced or (_TEXT_AFTER.match(after) and not _UNIT_AFTER.match(after)):
        weight = 2
    else:
        return 0, ""
    if text[start + 1] > "5" and not enhanced:
        return 0, ""  # RFC 5321 §4.2.1: the second digit is 0 to 5; 571 occurs only with a status
    if _QUOTING_BEFORE.search(before):
        weight += 3
    elif start == 0 or any(p.search(before) for p in (_LINE_START, _COLON_BEFORE, _ADDRESS_BEFORE)):
        weight += 1
    return weight, enhanced
