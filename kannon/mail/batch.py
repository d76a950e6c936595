"""A batch (the mail of one send) and its deliveries (one recipient's mail each), from the request to the build worker.

Plain data that can cross a process boundary: no database handle, no open file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from kannon.mail.tracking import NOT_STATED, TrackingPolicy


class Engine(StrEnum):
    """What fills a template: placeholders only, or conditions, loops and filters too."""

    PLAIN = "plain"
    JINJA = "jinja"


@dataclass(frozen=True, slots=True)
class Attachment:
    """An empty `content_type` is guessed from the name. A `content_id` makes it an inline part of multipart/related."""

    filename: str
    content: bytes
    content_type: str = ""
    content_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The caller's part of a mail that all recipients of a send share.

    `html` is empty in a request that names a stored template. An empty `text` is made from the HTML; without any HTML
    the mail has the text part only. `header_to` and `header_cc` replace the recipient in To and Cc where they are
    given; `reply_to` is Reply-To; `header_fields` are further names and values. `unsubscribe_url` None: no one-click
    unsubscribe; empty: by Kannon's own link. `raw` is a complete message in place of everything but sender and subject,
    which it repeats for lists. `require_tls`: only servers that are authenticated get it (RFC 8689).
    `global_fields` are texts; for a jinja template any JSON.
    """

    sender_email: str
    sender_alias: str = ""
    subject: str
    html: str = ""
    text: str = ""
    header_to: tuple[str, ...] = ()
    header_cc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    header_fields: tuple[tuple[str, str], ...] = ()
    global_fields: Mapping[str, Any] = field(default_factory=dict)
    unsubscribe_url: str | None = None
    attachments: tuple[Attachment, ...] = ()
    raw: bytes | None = None
    require_tls: bool = False
    engine: Engine = Engine.PLAIN

    @property
    def attachment_bytes(self) -> int:
        return sum(len(attachment.content) for attachment in self.attachments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """An accepted send: its content, and the ids that the server gave it. It is due now where `scheduled_at` is None or
    past. `template_id` is empty for a raw message; `template_version` is the one that it was accepted with. `tag` and
    `metadata` come back in its events."""

    message_id: str
    domain: str
    template_id: str
    content: Content
    scheduled_at: datetime | None = None
    tag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    template_version: int = 1


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a send. `tracking` is the policy that the caller states; an accepted recipient has the effective
    policy of domain, batch and recipient, which never changes afterwards. `fields` are texts; for a jinja template any
    JSON."""

    email: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    tracking: TrackingPolicy = NOT_STATED


@dataclass(frozen=True, slots=True)
class Delivery:
    """One claimed row of the pool. Message-ID and pseudonym are derived from `secret` (16 random bytes, the same on
    every retry); `attempt` counts from 1 and includes the coming one; `requeues` counts the envelopes of this
    attempt that are known to be gone unsent."""

    id: int
    message_id: str
    domain: str
    recipient: Recipient
    secret: bytes
    attempt: int
    due_at: datetime
    requeues: int = 0
