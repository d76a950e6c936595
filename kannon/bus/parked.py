"""Parked messages: what could not be handled, with the reason, kept in a stream of their own until an operator looks.

In: a message's subject and payload. Out: the form in which it is kept, and back. It is one line of JSON (subject and
reason) before the payload as it was.
"""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """`sequence` is its place in the stream; `subject` is where it came from."""

    sequence: int
    parked_at: datetime
    subject: str
    reason: str
    payload: bytes


def encode_parked(subject: str, payload: bytes, reason: str) -> bytes:
    head = json.dumps({"subject": subject, "reason": reason[:MAX_REASON]}).encode()
    return head + b"\n" + payload


def decode_parked(message: dict[str, Any]) -> ParkedMessage:
    """A message as the server's API gives it."""
    head, _, payload = base64.b64decode(message.get("data", "")).partition(b"\n")
    kept = json.loads(head)
    return ParkedMessage(
        message["seq"], datetime.fromisoformat(message["time"]), kept["subject"], kept["reason"], payload
    )
