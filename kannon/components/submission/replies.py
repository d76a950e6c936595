"""Errors of a send as SMTP replies: one table. In: an error. Out: a line with an enhanced status (RFC 3463)."""

from kannon.errors import (
    DiskLow,
    KannonError,
    LimitExceeded,
    PermissionDenied,
    QuotaExceeded,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from kannon.mail.send_request import RejectReason

_REPLIES: tuple[tuple[type[KannonError], str, str], ...] = (
    (DiskLow, "452 4.3.1", ""),
    (Throttled, "451 4.3.2", "Too many messages at once, try again later"),
    (Unavailable, "451 4.3.0", "Not able to store it now, try again later"),
    (LimitExceeded, "452 4.7.0", ""),
    (PermissionDenied, "550 5.7.1", ""),
    (Unauthenticated, "550 5.7.8", ""),
    (KannonError, "550 5.6.0", ""),  # the caller's fault in the message itself
)
"""The first that fits. An empty text is the error's own."""


def error_reply(error: KannonError) -> str:
    if isinstance(error, QuotaExceeded) and error.retry_after is None:
        return f"552 5.7.0 {error}"  # no later try fits either
    code, text = next((code, text) for kind, code, text in _REPLIES if isinstance(error, kind))
    return f"{code} {text or error}"


_REJECTIONS = {
    RejectReason.INVALID_EMAIL: "550 5.1.3 invalid_email: not an address that mail can be sent to",
    RejectReason.SUPPRESSED: "550 5.7.1 suppressed: the domain does not send to this address",
}


def rejection_reply(reason: RejectReason) -> str:
    """The words of every way in, at RCPT."""
    return _REJECTIONS.get(reason, f"550 5.1.1 {reason}")
