"""What a failure means: the one place that decides between deferral and refusal, and whether to try another host.

In: a `Failure` from the protocol or the DNS. Out: a verdict, or a decision.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from kannon.mail.reply import retry_after
from kannon.mail.tls_report import ResultType, TlsResult
from kannon.mail.verdict import Deferred, Refused, Reply, Stage


class Kind(Enum):
    """How an attempt failed."""

    REPLY = auto()  # the server answered with an unexpected reply
    CONNECT = auto()  # refused, unreachable, or timed out before the connection was established
    CLOSED = auto()  # the server closed or reset the connection
    TIMEOUT = auto()
    GARBAGE = auto()  # no SMTP reply, an endless line, a reply to no command
    INJECTED = auto()  # bytes in clear text behind the reply to STARTTLS
    TLS = auto()  # the handshake failed, or TLS is required and not offered
    LOOKUP = auto()  # the DNS is unreachable or broken
    FACT = auto()  # the DNS states it; `reply` expresses it
    UNABLE = auto()  # the server lacks an extension that this mail needs; `reply` expresses it


@dataclass(frozen=True, slots=True)
class Failure:
    """`reply` is the server's, except for FACT and UNABLE. `reason` explains a failure without a reply, and `enhanced`
    is its enhanced status code. `host` is set when it is not that of the session. `result`: of TLS, as TLS-RPT counts
    it; `results`: of all connections that were tried."""

    kind: Kind
    stage: Stage
    reply: Reply | None = None
    reason: str = ""
    host: str = ""
    enhanced: str = ""
    result: ResultType | None = None
    results: tuple[TlsResult, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.stage}: {self.reply.code} {self.reply.text}" if self.reply else f"{self.stage}: {self.reason}"


ABOUT_THE_MAIL = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY, Stage.DOT})
_DEPTH = {stage: depth for depth, stage in enumerate(Stage)}


def classify(failure: Failure, host: str, tls: str = "") -> Deferred | Refused:
    """Only a 5xx about this mail and a fact from the DNS are permanent. `host` is the session's, for a failure without
    one."""
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
        enhanced=failure.enhanced,
        retry_after=retry_after(reply) if reply is not None else None,
        tls=tls,
    )


def tries_another_host(failure: Failure) -> bool:
    """False when the answer would be the same, or when this host may have accepted the mail."""
    if failure.kind in (Kind.FACT, Kind.UNABLE):
        return False
    if failure.stage is Stage.DOT and failure.kind is not Kind.REPLY:
        return False  # unknown outcome: another host could mean a second copy
    return not isinstance(classify(failure, ""), Refused)


def is_about_the_host(failure: Failure) -> bool:
    """True when the destination itself is in trouble, False when it rejected this mail only."""
    if failure.kind is Kind.REPLY and failure.stage in ABOUT_THE_MAIL:
        return failure.reply is not None and failure.reply.code == 421
    return failure.kind not in (Kind.FACT, Kind.UNABLE)


def worse(first: Failure, second: Failure) -> Failure:
    """Of two hosts' failures the one to report: the one that got further, or the later one. A fact about one host ranks
    below any other failure, which may be temporary."""
    return first if _depth(first) > _depth(second) else second


def _depth(failure: Failure) -> int:
    return -1 if failure.kind is Kind.FACT else _DEPTH[failure.stage]
