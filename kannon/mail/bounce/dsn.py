"""Parses the machine-readable parts: message/delivery-status (RFC 3464) and message/feedback-report (RFC 5965).

In: the text of such a part. Out: its fields. Letter case does not matter, folded lines are joined. A repeated field
starts the next recipient, so that extra or missing blank lines between groups do no harm.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kannon.mail.bounce.parse import decode_encoded_words

MAX_RECIPIENTS = 100
MAX_LINES = 4000

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,40})[ \t]*:[ \t]*(.*)")
_PER_MESSAGE = frozenset({"reporting-mta", "arrival-date", "original-envelope-id", "dsn-gateway", "received-from-mta"})
_STARTS_RECIPIENT = frozenset({"final-recipient", "original-recipient", "action"})
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_TYPE_PREFIX = re.compile(r"[A-Za-z][\w.-]{0,40}[ \t]*;[ \t]*")


@dataclass(slots=True)
class RecipientStatus:
    """One per-recipient group, RFC 3464 §2.3."""

    fields: dict[str, str] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """RFC 3464 §2.3.3: failed, delayed, delivered, relayed or expanded; some servers write "expired" or
        "failure"."""
        words = re.findall(r"[a-z]+", self.fields.get("action", "").lower())
        return words[0] if words else ""

    @property
    def status(self) -> str:
        match = _STATUS.search(self.fields.get("status", ""))
        return match[0] if match else ""

    @property
    def diagnostic(self) -> str:
        """Without its type ("smtp;")."""
        return _TYPE_PREFIX.sub("", self.fields.get("diagnostic-code", ""), count=1)

    @property
    def recipient(self) -> str:
        value = self.fields.get("final-recipient") or self.fields.get("original-recipient") or ""
        return _TYPE_PREFIX.sub("", value, count=1).strip().strip("<>")

    @property
    def remote(self) -> str:
        return _TYPE_PREFIX.sub("", self.fields.get("remote-mta", ""), count=1).strip()


@dataclass(slots=True)
class DeliveryStatus:
    reporting: str = ""
    recipients: list[RecipientStatus] = field(default_factory=list)


def parse_delivery_status(text: str) -> DeliveryStatus:
    result = DeliveryStatus()
    current: RecipientStatus | None = None
    for name, value in _fields(text):
        if name in _PER_MESSAGE:
            if name == "reporting-mta":
                result.reporting = _TYPE_PREFIX.sub("", value, count=1).strip()
            continue
        if name in _STARTS_RECIPIENT and (current is None or name in current.fields):
            if len(result.recipients) == MAX_RECIPIENTS:
                break
            current = RecipientStatus()
            result.recipients.append(current)
        if current is None:
            current = RecipientStatus()
            result.recipients.append(current)
        current.fields.setdefault(name, value)
    return result


def parse_feedback(text: str) -> Mapping[str, str]:
    """RFC 5965 §3: the fields of a feedback report; of a repeated field the first."""
    fields: dict[str, str] = {}
    for name, value in _fields(text):
        fields.setdefault(name, value)
    return fields


def _fields(text: str) -> Iterator[tuple[str, str]]:
    name, pieces = "", []
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        if line[:1] in (" ", "\t") and name:
            pieces.append(line.strip())
            continue
        if name:
            yield name, decode_encoded_words(" ".join(pieces).strip())
            name = ""
        match = _FIELD.match(line)
        if match:
            name, pieces = match[1].lower(), [match[2].strip()]
    if name:
        yield name, decode_encoded_words(" ".join(pieces).strip())
