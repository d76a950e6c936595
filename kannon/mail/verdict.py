"""The verdict on one delivery attempt: a value, never an exception.

kannon.outbound returns it; the sender publishes an event of it, and the dispatcher settles or retries the delivery by
that event. No code is invented: without a reply, `reply` is None, and stage and `reason` describe the cause.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NO_REQUIRETLS: Final = "4.7.30"
"""RFC 8689 §7: X.7.30, REQUIRETLS support required."""


class Stage(StrEnum):
    """The step that decided the attempt, in the order of the dialogue."""

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
    """The remote server's reply. `code` as sent (250, 451, …); `enhanced` as in RFC 3463 ("5.1.1") or empty; `text`
    without the codes, lines joined by a space, at most 1000 characters."""

    code: int
    text: str
    enhanced: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server answered the final dot with 2xx. `tls` is the negotiated version and cipher, and how the server was
    verified (kannon.outbound.client.tls); empty for clear text."""

    reply: Reply
    host: str
    tls: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A temporary failure. `reply` is None if there was none; then `enhanced` may be the enhanced status code of the
    cause. `retry_after` is the requested delay in seconds, or None."""

    reply: Reply | None
    stage: Stage
    host: str
    reason: str = ""
    retry_after: int | None = None
    tls: str = ""
    enhanced: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A permanent failure: a 5xx reply, or a DNS result (RFC 5321 §5.1, RFC 7505) as the equivalent reply."""

    reply: Reply
    stage: Stage
    host: str
    tls: str = ""


Verdict = Delivered | Deferred | Refused
