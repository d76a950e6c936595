"""Send requests as values, as each API makes them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kannon.mail.batch import Content, Recipient
from kannon.mail.send_request import SendRequest
from kannon.mail.tracking import NOT_STATED, TrackingPolicy

BOB = Recipient("bob@example.net", {"name": "Bob"})


@dataclass(frozen=True)
class Arrived:
    """kannon.mail.send_request.Source."""

    body: bytes

    def size(self) -> int:
        return len(self.body)

    def digest(self) -> bytes:
        return hashlib.sha256(self.body).digest()


def send_request(
    recipients: Sequence[Recipient] = (BOB,),
    *,
    body: bytes = b"",
    template_id: str | None = None,
    tracking: TrackingPolicy = NOT_STATED,
    idempotency_key: str = "",
    validate_only: bool = False,
    **content: Any,
) -> SendRequest:
    """A send that is accepted, for the tenant example.com; the rest changes its content."""
    values = {"sender_email": "a@example.com", "subject": "s", "html": "x"} | content
    return SendRequest(
        content=Content(**values),
        recipients=recipients,
        source=Arrived(body),
        template_id=template_id,
        tracking=tracking,
        idempotency_key=idempotency_key,
        validate_only=validate_only,
    )
