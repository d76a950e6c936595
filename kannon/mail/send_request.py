"""A send as values: the request, the tenant that makes it, the limits it has to keep, and the result.

Every way in (gRPC, the command line) makes a `SendRequest`; kannon.accept.service turns it into a committed batch. The
rules are kannon.mail.send_check's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from kannon.mail.batch import Content, Recipient
from kannon.mail.quota import Quota
from kannon.mail.tracking import NOT_STATED, TrackingPolicy

MAX_ADDRESS = 320
"""RFC 3696 erratum 1690 allows 254 characters; the grammar alone could hold 64 + "@" + 255."""


class Source(Protocol):
    """The request in the form in which it arrived. Each call costs as much as writing the request once, so neither is
    called without need; `digest` may run in a thread."""

    def size(self) -> int:
        """Bytes."""

    def digest(self) -> bytes:
        """SHA-256; the same for the same request, in whatever order its maps were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOptions:
    """`smtputf8`: the header may be UTF-8. `remove`: names of fields, in lower case, that are not passed on. `trace`: a
    Received field with its CRLF, put in front."""

    smtputf8: bool = False
    remove: frozenset[str] = frozenset()
    trace: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """One send. `template_id` names a stored template in place of the content's HTML. A raw message is as submitted;
    sender and subject are read from it, and `raw` says how it came. `scheduled_at` None is now.
    `recipients` may parse an item when it is asked for; `bcc` are further ones (kannon.mail.bcc). An empty
    `idempotency_key` is none. `validate_only`: check it, store nothing."""

    content: Content
    recipients: Sequence[Recipient]
    source: Source
    template_id: str | None = None
    scheduled_at: datetime | None = None
    tracking: TrackingPolicy = NOT_STATED
    idempotency_key: str = ""
    validate_only: bool = False
    bcc: tuple[str, ...] = ()
    raw: RawOptions = RawOptions()
    tag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenant:
    """The domain that a send belongs to. `ceiling` is the most that it allows to be tracked. `suppresses`: the domain
    has suppressed addresses."""

    domain: str
    ceiling: TrackingPolicy
    suppresses: bool = False
    quotas: tuple[Quota, ...] = ()
    """Of the key and of the domain, those that have a limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one send (`message.max_bytes`, `message.max_recipients`)."""

    max_bytes: int
    max_recipients: int


class RejectReason(StrEnum):
    """Why a recipient is not accepted; the order is the order of the checks."""

    INVALID_EMAIL = "invalid_email"
    DUPLICATE = "duplicate"
    UNSUPPORTED_TRACKING_MODE = "unsupported_tracking_mode"
    TRACKING_ABOVE_CEILING = "tracking_above_ceiling"
    UNSUBSCRIBE_URL_UNRESOLVED = "unsubscribe_url_unresolved"
    INVALID_FIELD = "invalid_field"
    SUPPRESSED = "suppressed"
    MISSING_FIELD = "missing_field"
    TEMPLATE_FAILED = "template_failed"


class RejectedRecipient(NamedTuple):
    """`email` is the address as submitted. `detail`: the missing variable, or why the template failed."""

    email: str
    reason: RejectReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SendResult:
    """A committed batch, or with an empty `message_id` a request that is checked only. `rejected` has the order of the
    request."""

    message_id: str
    template_id: str
    scheduled_at: datetime
    accepted_count: int
    rejected: Sequence[RejectedRecipient]
