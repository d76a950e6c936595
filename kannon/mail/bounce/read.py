"""read_report: the bytes of a mail that came to a bounce address in, a Report out.

Machine-readable parts decide first (RFC 5965, RFC 3464), then header fields of automatic mail (RFC 3834), then the
prose. A delayed or delivered mail, a complaint, an automatic reply and a personal letter never become a failure.
A failure without a code is permanent: the server has given the mail up.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kannon.mail.bounce import heuristics
from kannon.mail.bounce.classify import classify_status, is_permanent
from kannon.mail.bounce.dsn import DeliveryStatus, parse_delivery_status, parse_feedback
from kannon.mail.bounce.headers import (
    has_null_return_path,
    is_automatic,
    is_disposition,
    is_mail_system,
    is_role_only,
)
from kannon.mail.bounce.parse import Message, Part, parse_message, strip_tags
from kannon.mail.bounce.replies import FoundReply, find_enhanced, find_reply
from kannon.mail.bounce.report import Report, ReportKind

MAX_RECEIVED = 50
"""Hops that indicate a mail loop, RFC 5321 §6.3; reports pass through two or three."""

_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ORIGINAL_TYPES = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers", "message/partial"}
)
# RFC 5965 §7.3 and the types registered since; RFC 6591 §3.1.
_FEEDBACK_KINDS = {
    **dict.fromkeys(
        ("abuse", "fraud", "virus", "other", "opt-out", "opt-out-list", "miscategorized"), ReportKind.COMPLAINT
    ),
    "auth-failure": ReportKind.AUTH_FAILURE,
}
# Amazon SES notifies in JSON; a bounce in it is read like any prose.
_SES_NOTIFICATION = re.compile(
    r'\\?"(?:notificationType|eventType)\\?"\s{0,9}:\s{0,9}\\?"(Bounce|Complaint|DeliveryDelay|Delivery)\\?"'
)
_SES_KINDS = {
    "Complaint": ReportKind.COMPLAINT,
    "Delivery": ReportKind.DELIVERED,
    "DeliveryDelay": ReportKind.DELAYED,
}


def read_report(raw: bytes) -> Report:
    """Never raises; linear in the size of `raw`, of which at most the first MiB is read."""
    try:
        return _read(raw)
    except Exception:  # the bytes are untrusted: an error here must not stop the mail from being filed
        return Report(ReportKind.UNKNOWN)


def _read(raw: bytes) -> Report:
    message = parse_message(raw)
    return _classify(message).cleaned(_parse_date(message.headers.get("date", "")))


def _classify(message: Message) -> Report:
    if message.received_count > MAX_RECEIVED:
        return Report(ReportKind.UNKNOWN, text="too many hops")
    own_parts = [part for part in message.parts if part.content_type not in _ORIGINAL_TYPES]
    prose = _prose(own_parts)
    feedback = _read_feedback(message, own_parts, prose)
    if feedback is not None:
        return feedback
    status = _read_status(own_parts)
    if status is not None:
        report = classify_status(status, prose)
        if report is not None:
            return report
    return _classify_prose(message, prose, encloses_original=len(own_parts) < len(message.parts))


def _parse_date(date: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(date[:100])
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _read_feedback(message: Message, parts: list[Part], prose: str) -> Report | None:
    """An ARF report (RFC 5965), or a provider's own form of one."""
    for part in parts:
        if part.content_type == "message/feedback-report" or (
            message.parameters.get("report-type", "").lower() == "feedback-report"
            and re.search(r"(?im)^feedback-type[ \t]*:", part.text)
        ):
            fields = parse_feedback(part.text)
            feedback_type = fields.get("feedback-type", "abuse").strip().lower()
            failure = fields.get("auth-failure", "")  # RFC 6591 §3.1: dkim, spf, dmarc, …
            return Report(
                _FEEDBACK_KINDS.get(feedback_type, ReportKind.UNKNOWN),
                text=f"{feedback_type}: {failure}" if failure else feedback_type,
                recipient=fields.get("original-rcpt-to", "").strip("<> "),
            )
    sender, subject = message.headers.get("from", "").lower(), message.headers.get("subject", "").lower()
    if "staff@hotmail.com" in sender and subject.startswith("complaint about message"):
        return Report(ReportKind.COMPLAINT, text="abuse")  # Outlook.com's programme, older than RFC 5965
    notification = _SES_NOTIFICATION.search(prose)
    if notification and notification[1] in _SES_KINDS:
        return Report(_SES_KINDS[notification[1]], recipient=heuristics.find_address(prose))
    return None


def _prose(parts: list[Part]) -> str:
    """The human-readable text before the original message, taken from the first parts."""
    pieces: list[str] = []
    for part in parts[:8]:
        if part.content_type == "text/html":
            if not pieces:
                pieces.append(heuristics.cut_original(strip_tags(part.text)))
        elif part.content_type.startswith("text/"):
            pieces.append(heuristics.cut_original(part.text))
    return "\n".join(pieces)[: heuristics.MAX_PROSE]


def _read_status(parts: list[Part]) -> DeliveryStatus | None:
    """The delivery status, from a part of its type or from a text part that holds its fields."""
    for part in parts:
        if part.content_type in _STATUS_TYPES:
            return parse_delivery_status(part.text)
    for part in parts:
        if part.content_type.startswith("text/"):
            text = part.text
            match = re.search(r"(?im)^(?:reporting-mta|final-recipient)[ \t]*:", text)
            if match and re.search(r"(?im)^action[ \t]*:", text):
                return parse_delivery_status(text[match.start() :])
    return None


def _classify_prose(message: Message, prose: str, *, encloses_original: bool) -> Report:
    subject = heuristics.normalize(message.headers.get("subject", "")[:500])
    system = is_mail_system(message) or bool(_SES_NOTIFICATION.search(prose))
    if _is_auto_reply(message, subject, system=system):
        return Report(ReportKind.AUTO_REPLY, text=prose)
    found = find_reply(prose)
    plain = heuristics.normalize(f"{subject}\n{prose}")
    failed = heuristics.mentions_failure(plain)
    if not system and not _is_evident(message, subject, prose, failed=failed, encloses_original=encloses_original):
        return Report(ReportKind.UNKNOWN, text=prose)
    recipient = message.headers.get("x-failed-recipients", "")[:320]
    if heuristics.mentions_delay(plain) and not heuristics.mentions_giving_up(plain):
        kind = ReportKind.DELAYED
    elif heuristics.is_success_subject(subject) and not found.code:
        kind = ReportKind.DELIVERED
    elif found.code or recipient or failed:
        kind = ReportKind.FAILURE
    elif heuristics.mentions_success(plain):
        kind = ReportKind.DELIVERED
    else:
        return Report(ReportKind.UNKNOWN, text=prose)
    return _report_prose(kind, found, prose, recipient)


def _report_prose(kind: ReportKind, found: FoundReply, prose: str, recipient: str) -> Report:
    enhanced = found.enhanced or find_enhanced(prose, str(found.code)[0] if found.code else "45")
    return Report(
        kind=kind,
        permanent=kind is ReportKind.FAILURE and is_permanent(found.code, enhanced, ""),
        code=found.code,
        enhanced_status=enhanced,
        text=prose[max(0, found.start) :] if found.code else prose,
        recipient=recipient.strip("<> ") or heuristics.find_recipient(prose, found.start),
    )


def _is_auto_reply(message: Message, subject: str, *, system: bool) -> bool:
    """A vacation notice, a challenge, a read receipt: a program answers for a person."""
    if is_disposition(message) and "reject" not in subject:
        return True
    if heuristics.is_auto_subject(subject, system=system):
        return True
    if not is_automatic(message) or heuristics.is_failure_subject(subject):
        return False
    return not system or (is_role_only(message) and not heuristics.mentions_delay(subject))


def _is_evident(message: Message, subject: str, prose: str, *, failed: bool, encloses_original: bool) -> bool:
    """Whether a mail whose sender is no known mail system is a report: its content must show that.

    Quoted lines of a reply are no evidence; a forwarded report is one.
    """
    own = prose if heuristics.is_forwarded(subject) else heuristics.drop_quotes(prose)
    found = find_reply(own)
    if heuristics.is_failure_subject(subject):
        return bool(found.code or encloses_original or heuristics.find_address(own))
    if has_null_return_path(message) and found.code and found.enhanced:
        return True
    return failed and heuristics.names_undelivered_address(own)
