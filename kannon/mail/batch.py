"""A batch (one call's mail) and a delivery (one recipient's copy), as the builder takes them.

Plain data that can cross a process boundary: no database handle, no open file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kannon.mail.tracking import TrackingPolicy


@dataclass(frozen=True, slots=True)
class Attachment:
    """`content_type` empty: guessed from the name. `content_id` set: an inline part of multipart/related."""

    filename: str
    content: bytes
    content_type: str = ""
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What all deliveries of one call share. `header_to`/`header_cc` are what To and Cc show; empty: the recipient."""

    message_id: str
    domain: str
    sender_email: str
    sender_alias: str
    subject: str
    html: str
    header_to: tuple[str, ...] = ()
    header_cc: tuple[str, ...] = ()
    global_fields: Mapping[str, str] = field(default_factory=dict)
    unsubscribe_url: str = ""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One claimed row of the pool. `secret` (16 random bytes, the same on every retry) is what Message-ID and the
    pseudonym are derived from; `attempt` counts from 1 and includes the one about to be made; `turn` tells envelopes of
    one attempt apart, where an earlier one is known to be gone unsent."""

    id: int
    message_id: str
    domain: str
    email: str
    fields: Mapping[str, str]
    policy: TrackingPolicy
    secret: bytes
    attempt: int
    due_at: datetime
    turn: int = 0
