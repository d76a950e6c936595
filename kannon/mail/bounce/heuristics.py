"""The prose of a report: text in, yes or no (or an address) out.

Every function searches for phrases (patterns.py) in text of limited length, so the cost is linear.
"""

import re

from kannon.mail.bounce import patterns

MAX_PROSE = 16 << 10

# Lines at which the report's own prose ends and the copy of the original begins.
_ORIGINAL_START = re.compile(
    r"-{2,}[ \t]*(?:below this line|this is a copy|the (?:header|body|headers) of the original|original message"
    r"|forwarded message|returned message|unsent message|message (?:text|header|follows)|undelivered message"
    r"|your (?:original )?message|included is a copy|enclosed is a copy|body of message)"
    r"|message headers? follow|(?:the )?original message (?:headers? )?follows"
    r"|your (?:original )?message (?:headers? )?follows"
    r"|(?:the )?headers? of (?:the|your) original message|original message headers?:|below is a copy of the original"
    r"|(?:received|return-path|dkim-signature):[ \t]|message-id:[ \t]*<|mime-version:[ \t]*1",
    re.IGNORECASE,
)
_LINE = re.compile(r"\n[ \t>]{0,8}(?=\S)")
_PLAIN_ADDRESS = r"([\w.+=!#$%&*/?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})"
_ADDRESS = re.compile(r"(?<![\w.+=-])" + _PLAIN_ADDRESS + r"(?![\w-])")
_LEADING_ADDRESS = re.compile(
    r"^[ \t>*]{0,12}(?:(?:rcpt )?to: ?)?[<\"'(]{0,2}" + _PLAIN_ADDRESS + r"[>\"')]{0,2}[ \t]*(?:[:,(\[]|\.{3}|$)",
    re.M | re.I,
)
_UNDELIVERED_TO = re.compile(
    r"\bnot\s+(?:be\s+|been\s+)?delivered\s+to[ \t]{0,8}:?[ \t]{0,8}\n\s{0,40}<?"
    + _PLAIN_ADDRESS
    + r">?[ \t]{0,8}(?:\n|\Z)",
    re.I,
)
_CONTRACTION = re.compile(r"n['’´`]t\b")
_FAILURE_STATE = re.compile(
    r"\b(?:user|account|mailbox|recipient|address|host|domain|inbox)\b[^.;\n]{0,80}?\b"
    r"(?:unknown|not (?:found|valid|known|active|allowed|available)|invalid|inactive|disabled|suspended|full"
    r"|unavailable|unreachable|rejected|closed|terminated|deleted|expired|locked|frozen|discontinued)\b"
)
_ADDRESS_HOST = re.compile(r"@[^\s<>@]{1,255}")
_LIST_BOUNCES = re.compile(r"\w-bounces(?:\+[^\s<>]{0,100})?>?\s*\Z")
_FORWARD_PREFIX = re.compile(r"\s*(?:fwd?|wg|tr|rv)\s*:")
_REPLY_PREFIX = re.compile(r"^\s*(?:re|aw|sv|antw|回复)\s*(?:\[\d+\])?:")


def cut_original(text: str) -> str:
    """The report's own prose: everything before the copy of the original message, at most MAX_PROSE characters."""
    text = "\n" + text[:MAX_PROSE]
    for line in _LINE.finditer(text):
        if _ORIGINAL_START.match(text, line.end()):
            return text[1 : line.start() + 1]
    return text[1:]


def normalize(text: str) -> str:
    """Lower case, single spaces, no contractions: the form of the phrases in patterns.py."""
    text = " ".join(text.lower().split())
    text = _CONTRACTION.sub(" not", text).replace("cannot", "can not")
    return text.replace("ca not", "can not").replace("wo not", "will not").replace("’", "'")


def mentions_delay(text: str) -> bool:
    """`text` is normalized, here and in the functions below."""
    return any(phrase in text for phrase in patterns.DELAY)


def mentions_giving_up(text: str) -> bool:
    return any(phrase in text for phrase in patterns.GIVING_UP)


def mentions_success(text: str) -> bool:
    return any(phrase in text for phrase in patterns.SUCCESS)


def mentions_failure(text: str) -> bool:
    return any(phrase in text for phrase in patterns.FAILURE) or bool(_FAILURE_STATE.search(text))


def is_failure_subject(subject: str) -> bool:
    """Excludes a reply to a report, such as "Re: Undelivered Mail"."""
    return not _REPLY_PREFIX.match(subject) and any(phrase in subject for phrase in patterns.SUBJECTS)


def is_forwarded(subject: str) -> bool:
    return bool(_FORWARD_PREFIX.match(subject))


def drop_quotes(text: str) -> str:
    """Without the lines that a reply quotes with ">"."""
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">"))


def is_auto_subject(subject: str, *, system: bool) -> bool:
    """`system`: the sender is a mail system, which may quote the subject of the original in its own."""
    start = _REPLY_PREFIX.sub("", subject).strip(" []*\"'")
    return start.startswith(patterns.AUTO_SUBJECTS) or (not system and start.startswith(patterns.AWAY_SUBJECTS))


def is_daemon(sender: str) -> bool:
    """By display name and local part: a person may have an address at postmaster.example, and `<list>-bounces@` sends
    the mail of a mailing list."""
    name = _ADDRESS_HOST.sub("", sender)
    return is_program(sender) or (not _LIST_BOUNCES.search(name) and any(phrase in name for phrase in patterns.ROLES))


def is_program(sender: str) -> bool:
    """A program of a mail system, never a person's autoresponder."""
    name = _ADDRESS_HOST.sub("", sender)
    return any(phrase in name for phrase in patterns.PROGRAMS)


def is_success_subject(subject: str) -> bool:
    return subject.startswith(patterns.SUCCESS_SUBJECTS)


def names_undelivered_address(text: str) -> bool:
    """Whether "… could not be delivered to" is followed by a line with only an address, as programs write it."""
    return bool(_UNDELIVERED_TO.search(text))


def find_recipient(text: str, reply_start: int) -> str:
    """The recipient of the undelivered mail, as a hint: an address that starts a line, the last before the reply."""
    leading = [match for match in _LEADING_ADDRESS.finditer(text) if reply_start < 0 or match.start() < reply_start]
    if leading:
        return leading[-1 if reply_start >= 0 else 0][1]
    return find_address(text)


def find_address(text: str) -> str:
    match = _ADDRESS.search(text[:MAX_PROSE])
    return match[1] if match else ""
