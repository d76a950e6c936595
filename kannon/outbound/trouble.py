"""What a failure means: one function classifies it into a verdict, one decides whether another host is asked.

In: `Failure`, which the protocol reports. Out: a verdict, or True and False. Nothing else in the sender decides this.
"""

from dataclasses import dataclass
from enum import Enum, auto

from kannon.mail.reply import retry_after
from kannon.mail.verdict import Deferred, Refused, Reply, Stage


class Kind(Enum):
    """How a delivery failed, before it is judged."""

    REPLY = auto()  # the peer answered, and not what was hoped for
    CONNECT = auto()  # refused, unreachable, timed out before there was a connection
    CLOSED = auto()  # the peer closed or reset the connection
    TIMEOUT = auto()
    GARBAGE = auto()  # no SMTP reply, an endless line, a reply nobody asked for
    INJECTED = auto()  # bytes behind the reply to STARTTLS, in clear
    TLS = auto()  # handshake failed, or TLS is required and not to be had
    LOOKUP = auto()  # DNS is away or broken
    FACT = auto()  # DNS says no; `reply` is the reply that stands for it
    UNABLE = auto()  # the peer lacks an extension this mail cannot do without; `reply` likewise


@dataclass(frozen=True, slots=True)
class Failure:
    """`reply` is the peer's own, except for FACT and UNABLE. `reason` says in words what a missing reply cannot. `host`
    is set where it is not plain from whom the session was with."""

    kind: Kind
    stage: Stage
    reply: Reply | None = None
    reason: str = ""
    host: str = ""

    def __str__(self) -> str:
        return f"{self.stage}: {self.reply.code} {self.reply.text}" if self.reply else f"{self.stage}: {self.reason}"


ABOUT_THE_MAIL = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY, Stage.DOT})
_DEPTH = {stage: depth for depth, stage in enumerate(Stage)}


def classify(failure: Failure, host: str, tls: str = "") -> Deferred | Refused:
    """Permanent is only what the peer said about this mail with a 5xx, or what the DNS states as a fact. `host`: of the
    session, where the failure names none."""
    reply, host = failure.reply, failure.host or host
    if reply is not None:
        stated = failure.kind in (Kind.FACT, Kind.UNABLE)
        if stated or (failure.kind is Kind.REPLY and failure.stage in ABOUT_THE_MAIL and reply.code // 100 == 5):
            return Refused(reply, failure.stage, host, tls)
    return Deferred(
        reply=reply,
        stage=failure.stage,
        host=host,
        reason=failure.reason,
        retry_after=retry_after(reply) if reply is not None else None,
        tls=tls,
    )


def asks_another_host(failure: Failure) -> bool:
    """False where the answer would be the same, or where the mail may have been taken."""
    if failure.kind in (Kind.FACT, Kind.UNABLE):
        return False
    if failure.stage is Stage.DOT and failure.kind is not Kind.REPLY:
        return False  # outcome unknown: another host now would be a second copy for certain if it was taken
    return not isinstance(classify(failure, ""), Refused)


def is_about_the_host(failure: Failure) -> bool:
    """True where the destination itself is in trouble, False where only this mail was not wanted."""
    if failure.kind is Kind.REPLY and failure.stage in ABOUT_THE_MAIL:
        return failure.reply is not None and failure.reply.code == 421
    return failure.kind not in (Kind.FACT, Kind.UNABLE)


def worse(first: Failure, second: Failure) -> Failure:
    """Of two hosts' failures the one to report: the one that came further, the later one of two alike. What DNS states
    of one host as a fact is less than any trouble with another, which may be over tomorrow."""
    return first if _depth(first) > _depth(second) else second


def _depth(failure: Failure) -> int:
    return -1 if failure.kind is Kind.FACT else _DEPTH[failure.stage]
