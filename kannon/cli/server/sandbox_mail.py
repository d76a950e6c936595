"""A mail of the sandbox, decoded for display.

In: the bytes of a file that the sandbox has written, or its first bytes. Out: header fields, the text and HTML parts.
Replacement characters stand for what cannot be decoded.
"""

import email
import email.policy
from dataclasses import dataclass
from datetime import datetime
from email.message import MIMEPart
from typing import Any

from kannon.mail.suppression import address_key


@dataclass(frozen=True, slots=True)
class SandboxMail:
    """`recipient` is the address of the envelope (Delivered-To), `text` the HTML's source where there is no text."""

    id: str
    at: datetime
    headers: list[tuple[str, str]]
    sender: str
    recipient: str
    subject: str
    text: str
    html: str
    attachments: list[str]
    source: bytes

    def is_to(self, address: str) -> bool:
        return address_key(self.recipient) == address_key(address)

    def summary(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "time": self.at.isoformat(),
            "from": self.sender,
            "to": self.recipient,
            "subject": self.subject,
        }

    def document(self) -> dict[str, Any]:
        headers = [{"name": name, "value": value} for name, value in self.headers]
        parts = {"text": self.text, "html": self.html, "attachments": self.attachments}
        return self.summary() | {"headers": headers} | parts


def parse_sandbox_mail(mail_id: str, at: datetime, source: bytes) -> SandboxMail:
    message = email.message_from_bytes(source, policy=email.policy.default)
    headers = [(name, str(value)) for name, value in message.items()]
    html = _content(message.get_body(("html",)))
    return SandboxMail(
        id=mail_id,
        at=at,
        headers=headers,
        sender=str(message.get("From", "")),
        recipient=str(message.get("Delivered-To", "")),
        subject=str(message.get("Subject", "")),
        text=_content(message.get_body(("plain",))) or html,
        html=html,
        attachments=[part.get_filename() or part.get_content_type() for part in message.iter_attachments()],
        source=source,
    )


def _content(part: MIMEPart | None) -> str:
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    text = payload if isinstance(payload, bytes) else b""
    try:
        return text.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:  # an unknown charset
        return text.decode("utf-8", "replace")
