"""Classifies a delivery status: which recipient counts, which reply code, permanent or not.

In: parsed per-recipient fields (RFC 3464) and the prose of the report. Out: a Report, or None without an action.
"""

from kannon.mail.bounce.dsn import DeliveryStatus, RecipientStatus
from kannon.mail.bounce.replies import FoundReply, find_enhanced, find_reply
from kannon.mail.bounce.report import Report, ReportKind


def classify_status(status: DeliveryStatus, prose: str) -> Report | None:
    """RFC 3464 §2.3.3. None: the part has no action, so the prose decides."""
    by_action: dict[ReportKind, RecipientStatus] = {}
    for recipient in status.recipients:
        kind = _kind_of(recipient)
        if kind is not None:
            by_action.setdefault(kind, recipient)
    for kind in (ReportKind.FAILURE, ReportKind.DELAYED, ReportKind.DELIVERED):
        if kind in by_action:
            return _to_report(kind, by_action[kind], status, prose)
    return None


def _kind_of(recipient: RecipientStatus) -> ReportKind | None:
    match recipient.action:
        case "failed" | "failure" | "fail" | "expired" | "error" | "undeliverable":
            return ReportKind.FAILURE
        case "delayed" | "delay" | "deferred":
            return ReportKind.DELAYED
        case "delivered" | "relayed" | "expanded" | "deliverable":
            return ReportKind.DELIVERED
    # An unreadable action: the class of Status (RFC 3463 §3.1) has the same meaning.
    by_class = {"5": ReportKind.FAILURE, "4": ReportKind.DELAYED, "2": ReportKind.DELIVERED}
    return by_class.get(recipient.status[:1])


def _to_report(kind: ReportKind, recipient: RecipientStatus, status: DeliveryStatus, prose: str) -> Report:
    diagnostic = recipient.diagnostic
    found = _find_agreeing_reply(diagnostic, recipient.status)
    if not found.code:
        found = find_reply(recipient.fields.get("status", ""), lenient=True)  # some servers write the whole reply there
    if not found.code and kind is not ReportKind.DELIVERED:
        found = _unless_contradictory(found, find_reply(prose), recipient.status)
    enhanced = found.enhanced or _more_specific(
        recipient.status, find_enhanced(diagnostic, recipient.status[:1] or "45")
    )
    return Report(
        kind=kind,
        permanent=kind is ReportKind.FAILURE and is_permanent(found.code, found.enhanced, recipient.status),
        code=found.code,
        enhanced_status=enhanced,
        text=diagnostic or prose,
        recipient=recipient.recipient,
        host=recipient.remote or status.reporting,
    )


def _find_agreeing_reply(diagnostic: str, status: str) -> FoundReply:
    """The remote server's reply in a Diagnostic-Code; of several, the one that agrees with Status."""
    found = find_reply(diagnostic, lenient=True)
    if found.code and status and str(found.code)[0] != status[0]:
        inner = find_reply(diagnostic[found.start + 3 :], lenient=True)
        if inner.code and str(inner.code)[0] == status[0]:
            return inner
    return found


def _unless_contradictory(found: FoundReply, other: FoundReply, status: str) -> FoundReply:
    """The reply in the prose, unless it contradicts Status."""
    if other.code and (not status or str(other.code)[0] == status[0]):
        return other
    return found


def _more_specific(status: str, other: str) -> str:
    """RFC 3463 §3.1: x.0.0 has no detail; another status of the same class may."""
    if status.endswith(".0.0") and other:
        return other
    return status or other


def is_permanent(code: int, enhanced: str, status: str) -> bool:
    """By the enhanced status, else Status, else the reply code. Without any, the server has given up: permanent."""
    for evidence in (enhanced, status, str(code) if code else ""):
        if evidence:
            return evidence.startswith("5")
    return True
