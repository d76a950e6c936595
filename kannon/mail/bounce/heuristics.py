"""What a report says in plain words: text in, answers to plain questions out.

Everything is a search for phrases (patterns.py) in text that was capped before, so the cost is linear.
"""

import re

from kannon.mail.bounce import patterns

MAX_PROSE = 16 << 10

# Where the report's own words end and the copy of the original begins.
_MARK = re.compile(
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
_PLAIN = r"([\w.+=!#$%&*/?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})"
_ADDRESS = re.compile(r"(?<![\w.+=-])" + _PLAIN + r"(?![\w-])")
_LEADING = re.compile(
    r"^[ \t>*]{0,12}(?:(?:rcpt )?to: ?)?[<\"'(]{0,2}" + _PLAIN + r"[>\"')]{0,2}[ \t]*(?:[:,(\[]|\.{3}|$)", re.M | re.I
)
_NOT = re.compile(r"n['’´`]t\b")
_STATE = re.compile(
    r"\b(?:user|account|mailbox|recipient|address|host|domain|inbox)\b[^.;\n]{0,80}?\b"
    r"(?:unknown|not (?:found|valid|known|active|allowed|available)|invalid|inactive|disabled|suspended|full"
    r"|unavailable|unreachable|rejected|closed|terminated|deleted|expired|locked|frozen|discontinued)\b"
)
_HOST = re.compile(r"@[^\s<>@]{1,255}")
_LIST = re.compile(r"\w-bounces(?:\+[^\s<>]{0,100})?>?\s*\Z")
_FORWARD_MARK = re.compile(r"\s*(?:fwd?|wg|tr|rv)\s*:")
_REPLY_MARK = re.compile(r"^\s*(?:re|aw|sv|antw|回复)\s*(?:\[\d+\])?:")


def cut_original(text: str) -> str:
    """The report's own words: everything before the copy of the original message, at most MAX_PROSE characters."""
    text = "\n" + text[:MAX_PROSE]
    for line in _LINE.finditer(text):
        if _MARK.match(text, line.end()):
            return text[1 : line.start() + 1]
    return text[1:]


def normalize(text: str) -> str:
    """As phrases are written: lower case, single spaces, no contractions, so that line breaks do not matter."""
    text = " ".join(text.lower().split())
    text = _NOT.sub(" not", text).replace("cannot", "can not")
    return text.replace("ca not", "can not").replace("wo not", "will not").replace("’", "'")


def says_delay(text: str) -> bool:
    """Of normalized text, as all of these."""
    return any(phrase in text for phrase in patterns.DELAY)


def says_final(text: str) -> bool:
    return any(phrase in text for phrase in patterns.FINAL)


def says_success(text: str) -> bool:
    return any(phrase in text for phrase in patterns.SUCCESS)


def says_failure(text: str) -> bool:
    return any(phrase in text for phrase in patterns.FAILURE) or bool(_STATE.search(text))


def is_failure_subject(subject: str) -> bool:
    """Not a person's answer to a report: "Re: Undelivered Mail"."""
    return not _REPLY_MARK.match(subject) and any(phrase in subject for phrase in patterns.SUBJECTS)


def is_forwarded(subject: str) -> bool:
    return bool(_FORWARD_MARK.match(subject))


def drop_quotes(text: str) -> str:
    """Without the lines that answer-writers mark with ">"."""
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">"))


def is_auto_subject(subject: str, *, system: bool) -> bool:
    """`system`: it comes from a mail system, which may quote our own subject in its."""
    start = _REPLY_MARK.sub("", subject).strip(" []*\"'")
    return start.startswith(patterns.AUTO_SUBJECTS) or (not system and start.startswith(patterns.AWAY_SUBJECTS))


def is_daemon(sender: str) -> bool:
    """By its name and local part; a person may live at postmaster.example, and lists speak as `<list>-bounces@`."""
    name = _HOST.sub("", sender)
    return is_program(sender) or (not _LIST.search(name) and any(phrase in name for phrase in patterns.ROLES))


def is_program(sender: str) -> bool:
    """Surely no answering machine of somebody's."""
    name = _HOST.sub("", sender)
    return any(phrase in name for phrase in patterns.PROGRAMS)


def is_success_subject(subject: str) -> bool:
    return subject.startswith(patterns.SUCCESS_SUBJECTS)


def find_recipient(text: str, reply_start: int) -> str:
    """Whom the report speaks of, as a hint: an address that leads a line, the last one before the reply."""
    leading = [match for match in _LEADING.finditer(text) if reply_start < 0 or match.start() < reply_start]
    if leading:
        return leading[-1 if reply_start >= 0 else 0][1]
    return find_address(text)


def find_address(text: str) -> str:
    match = _ADDRESS.search(text[:MAX_PROSE])
    return match[1] if match else ""
