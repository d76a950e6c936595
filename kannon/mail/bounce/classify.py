"""From the fields of a delivery status to a Report: which recipient counts, whose code, permanent or not.

In: parsed per-recipient fields (RFC 3464) and the words beside them. Out: a Report, or None where no action is named.
"""

from kannon.mail.bounce.dsn import DeliveryStatus, RecipientStatus
from kannon.mail.bounce.replies import FoundReply, find_enhanced, find_reply
from kannon.mail.bounce.report import Report, ReportKind


def judge_status(status: DeliveryStatus, words: str) -> Report | None:
    """RFC 3464 §2.3.3. None: the part names no action, so the words decide."""
    by_action: dict[ReportKind, RecipientStatus] = {}
    for recipient in status.recipients:
        kind = _kind_of(recipient)
        if kind is not None:
            by_action.setdefault(kind, recipient)
    for kind in (ReportKind.FAILURE, ReportKind.DELAYED, ReportKind.DELIVERED):
        if kind in by_action:
            return _report_status(kind, by_action[kind], status, words)
    return None


def _kind_of(recipient: RecipientStatus) -> ReportKind | None:
    match recipient.action:
        case "failed" | "failure" | "fail" | "expired" | "error" | "undeliverable":
            return ReportKind.FAILURE
        case "delayed" | "delay" | "deferred":
            return ReportKind.DELAYED
        case "delivered" | "relayed" | "expanded" | "deliverable":
            return ReportKind.DELIVERED
    # An action that cannot be read: the class of Status (RFC 3463 §3.1) says the same.
    by_class = {"5": ReportKind.FAILURE, "4": ReportKind.DELAYED, "2": ReportKind.DELIVERED}
    return by_class.get(recipient.status[:1])


def _report_status(kind: ReportKind, recipient: RecipientStatus, status: DeliveryStatus, words: str) -> Report:
    diagnostic = recipient.diagnostic
    found = _reply_of(diagnostic, recipient.status)
    if not found.code:
        found = find_reply(recipient.fields.get("status", ""), lenient=True)  # some put the whole reply into Status
    if not found.code and kind is not ReportKind.DELIVERED:
        found = _better(found, find_reply(words), recipient.status)
    enhanced = found.enhanced or _specific(recipient.status, find_enhanced(diagnostic, recipient.status[:1] or "45"))
    return Report(
        kind=kind,
        permanent=kind is ReportKind.FAILURE and is_permanent(found.code, found.enhanced, recipient.status),
        code=found.code,
        enhanced_status=enhanced,
        text=diagnostic or words,
        recipient=recipient.recipient,
        host=recipient.remote or status.reporting,
    )


def _reply_of(diagnostic: str, status: str) -> FoundReply:
    """The remote's reply in a Diagnostic-Code; the one that agrees with Status where several stand there."""
    found = find_reply(diagnostic, lenient=True)
    if found.code and status and str(found.code)[0] != status[0]:
        inner = find_reply(diagnostic[found.start + 3 :], lenient=True)
        if inner.code and str(inner.code)[0] == status[0]:
            return inner
    return found


def _better(found: FoundReply, other: FoundReply, status: str) -> FoundReply:
    """A reply from the words serves if it does not contradict Status."""
    if other.code and (not status or str(other.code)[0] == status[0]):
        return other
    return found


def _specific(status: str, other: str) -> str:
    """RFC 3463 §3.1: x.0.0 says nothing; another status of the same class does."""
    if status.endswith(".0.0") and other:
        return other
    return status or other


def is_permanent(code: int, enhanced: str, status: str) -> bool:
    """The remote's enhanced status says most, then Status, then the reply code; nothing at all: given up, permanent."""
    for evidence in (enhanced, status, str(code) if code else ""):
        if evidence:
            return evidence.startswith("5")
    return True
