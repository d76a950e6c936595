"""What came of trying to deliver one envelope: a value, never an exception.

Out of kannon.outbound; read by the sender (which event to publish) and, through that event, by the dispatcher (settle
or retry). No code is ever invented: where the peer said nothing, `reply` is None and the stage and `reason` tell why.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """How far the delivery came, in the order of the dialogue."""

    DNS = "dns"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"


@dataclass(frozen=True, slots=True)
class Reply:
    """The peer's own words. `code` as sent (250, 451, …); `enhanced` as in RFC 3463 ("5.1.1") or empty; `text` without
    the codes, lines joined by a space, at most 1000 characters."""

    code: int
    text: str
    enhanced: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The 2xx after the final dot was read. `tls`: what was negotiated, empty for clear text."""

    reply: Reply
    host: str
    tls: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now. `reply` is None when the peer gave none; `retry_after` is what it asked for, in seconds, else None."""

    reply: Reply | None
    stage: Stage
    host: str
    reason: str = ""
    retry_after: int | None = None
    tls: str = field(default="")


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: a 5xx to this mail, or a fact of the DNS (RFC 5321 §5.1, RFC 7505) given as the reply it stands for."""

    reply: Reply
    stage: Stage
    host: str
    tls: str = ""


Verdict = Delivered | Deferred | Refused
