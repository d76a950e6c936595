"""SMTP replies as they stand in prose: text in, reply code and enhanced status out.

A number is taken for a reply code only where the grammar of a reply (RFC 5321 §4.2: code, space or hyphen, text;
RFC 2034 §4: enhanced status after the code) or the words around it say so; "for 432 seconds" and "port 587" are not.
"""

import re
from dataclasses import dataclass

_CODE = re.compile(r"(?<![\w.@/+=&?%\[])([45]\d\d)(?![\w@/%])")
_ENHANCED = re.compile(r"(?<![\w.])([245]\.\d{1,3}\.\d{1,3})(?![\w.]*\.\d)(?!\w)")
_ENHANCED_AFTER = re.compile(r"[ \-]{0,3}[(#]{0,2}([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_TEXT_AFTER = re.compile(
    r"(?:-| {1,2}|: |, ?|: ?)[\"'<(\[#*]{0,3}[^\W\d_]|[ \-]\d{1,2}\b|[ \-]{0,2}<|\s{0,2}\)?$|-|[;'\"]"
)
_KEYWORD_BEFORE = re.compile(
    r"(?:said|says|<<<|reason|respon[sd]e\w*|replied|reply|errors?|code|status|returned|return|diagnostic\S*|failed|failure|"
    r"rejected|refused|smtp|smtp;|esmtp|dot|rcpt|from|data|to|with|was|is|out|server|text|message)[^\w\n]{0,8}\Z",
    re.IGNORECASE,
)
_LINE_START = re.compile(r"(?:^|\n)[ \t>*|]{0,12}[\"'(<]{0,2}\Z")
_AFTER_COLON = re.compile(r"[:;>\])][ \t\n]{0,8}[\"'(<]?\Z")
_UNITS_AFTER = re.compile(
    r"[ \-]?(?:bytes?|kb|mb|ki?b|k\b|seconds?|secs?|minutes?|mins?|hours?|days?|messages?|recipients)\b", re.I
)


@dataclass(frozen=True, slots=True)
class FoundReply:
    """`start` is where in the text it stands, -1 when nothing was found."""

    code: int = 0
    enhanced: str = ""
    start: int = -1


def find_reply(text: str) -> FoundReply:
    """The best 4xx or 5xx reply in `text`: the most reply-like one, the earlier of equals."""
    best = FoundReply()
    best_score = 0
    for match in _CODE.finditer(text):
        score, enhanced = _weigh(text, match.start(), match.end())
        if score > best_score:
            best_score = score
            best = FoundReply(int(match[1]), enhanced, match.start())
            if score >= 6:
                break
    return best


def find_enhanced(text: str, klass: str = "45") -> str:
    """The first enhanced status of one of the classes in `klass`; "" when there is none."""
    for match in _ENHANCED.finditer(text):
        if match[1][0] in klass:
            return match[1]
    return ""


def _weigh(text: str, start: int, end: int) -> tuple[int, str]:
    """How much the number at start:end looks like a reply code (0: not at all) and the status that follows it."""
    before = text[max(0, start - 40) : start]
    after = text[end : end + 40]
    enhanced = _ENHANCED_AFTER.match(after)
    keyword = bool(_KEYWORD_BEFORE.search(before))
    line_start = bool(_LINE_START.search(before)) or start == 0
    colon = bool(_AFTER_COLON.search(before))
    followed = bool(_TEXT_AFTER.match(after)) and not _UNITS_AFTER.match(after)
    score = 0
    if enhanced and enhanced[1][0] == text[start]:
        score = 4 + (line_start or colon or keyword) * 2
    elif enhanced:
        score = 3
    elif followed and (keyword or colon):
        score = 3
    elif followed and line_start:
        score = 3
    return score, enhanced[1] if enhanced and enhanced[1][0] in "45" else ""
