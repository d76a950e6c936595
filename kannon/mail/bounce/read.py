"""One function, read_report: the bytes of a mail that came to a bounce address in, a Report out.

Machine-readable parts are believed first (RFC 5965, RFC 3464), then headers that mark automatic mail (RFC 3834), then
the words. It never raises. What it refuses: to take for a failure what is delayed, delivered, a complaint, an
automatic answer, or a person's letter. A failure that names no code is permanent: the server has given the mail up.
"""

import email.message
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from flufl.bounce import all_failures

from kannon.mail.bounce import heuristics
from kannon.mail.bounce.classify import is_permanent, judge_status
from kannon.mail.bounce.dsn import DeliveryStatus, parse_delivery_status, parse_feedback
from kannon.mail.bounce.parse import Message, Part, parse_message, strip_tags
from kannon.mail.bounce.replies import FoundReply, find_enhanced, find_reply
from kannon.mail.bounce.report import Report, ReportKind

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it logs every one of its steps

MAX_FLUFL, MAX_FLUFL_LINES = 8 << 10, 200
"""flufl.bounce tries some 150 patterns on every line."""
MAX_RECEIVED = 50
"""Hops after which a mail is taken to run in a circle, RFC 5321 §6.3; ours pass through two or three."""

_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ORIGINAL_TYPES = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers", "message/partial"}
)
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other", "opt-out", "opt-out-list", "miscategorized"})
# Amazon SES tells of its mail in JSON; a bounce in it reads like any prose.
_NOTICE = re.compile(
    r'\\?"(?:notificationType|eventType)\\?"\s{0,9}:\s{0,9}\\?"(Bounce|Complaint|DeliveryDelay|Delivery)\\?"'
)
_AUTO_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-autoreply-from", "x-autoresponder", "x-vacation")


def read_report(raw: bytes) -> Report:
    """Never raises; linear in the size of `raw`, of which at most the first MiB is read."""
    try:
        return _read(raw)
    except Exception:  # a report is a stranger's bytes: whatever goes wrong in reading it, the mail is kept going
        return Report(ReportKind.UNKNOWN)


def _read(raw: bytes) -> Report:
    message = parse_message(raw)
    return _judge(message).cleaned(_sent_at(message.headers.get("date", "")))


def _judge(message: Message) -> Report:
    if message.received_count > MAX_RECEIVED:
        return Report(ReportKind.UNKNOWN, text="too many hops")
    own = [part for part in message.parts if part.content_type not in _ORIGINAL_TYPES]
    words = _own_words(own)
    complaint = _read_feedback(message, own, words)
    if complaint is not None:
        return complaint
    status = _read_status(message, own)
    if status is not None:
        report = judge_status(status, words)
        if report is not None:
            return report
    return _read_prose(message, own, words)


def _sent_at(date: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(date[:100])
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _read_feedback(message: Message, parts: list[Part], words: str) -> Report | None:
    for part in parts:
        if part.content_type == "message/feedback-report" or (
            message.parameters.get("report-type", "").lower() == "feedback-report"
            and re.search(r"(?im)^feedback-type[ \t]*:", part.text)
        ):
            fields = parse_feedback(part.text)
            # RFC 5965 §3.1; an auth-failure report (RFC 6591) or "not-spam" is nobody's complaint.
            kind = fields.get("feedback-type", "abuse").strip().lower()
            recipient = fields.get("original-rcpt-to", "").strip("<> ")
            known = ReportKind.COMPLAINT if kind in _COMPLAINTS else ReportKind.UNKNOWN
            return Report(known, text=kind, recipient=recipient)
    sender, subject = message.headers.get("from", "").lower(), message.headers.get("subject", "").lower()
    if "staff@hotmail.com" in sender and subject.startswith("complaint about message"):
        return Report(ReportKind.COMPLAINT, text="abuse")  # Outlook.com's programme, older than RFC 5965
    notice = _NOTICE.search(words)
    if notice and notice[1] != "Bounce":
        kind_of = {
            "Complaint": ReportKind.COMPLAINT,
            "Delivery": ReportKind.DELIVERED,
            "DeliveryDelay": ReportKind.DELAYED,
        }
        return Report(kind_of[notice[1]], recipient=heuristics.find_address(words))
    return None


def _own_words(parts: list[Part]) -> str:
    """The human-readable text before the original message, of the first parts that have any."""
    pieces: list[str] = []
    for part in parts[:8]:
        if part.content_type == "text/html":
            if not pieces:
                pieces.append(heuristics.cut_original(strip_tags(part.text)))
        elif part.content_type.startswith("text/"):
            pieces.append(heuristics.cut_original(part.text))
    return "\n".join(pieces)[: heuristics.MAX_PROSE]


def _read_status(message: Message, parts: list[Part]) -> DeliveryStatus | None:
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


def _read_prose(message: Message, parts: list[Part], words: str) -> Report:
    headers = message.headers
    subject = heuristics.normalize(headers.get("subject", "")[:500])
    system = _is_mail_system(message) or bool(_NOTICE.search(words))
    if _is_personal_answer(message, parts, subject, system):
        return Report(ReportKind.AUTO_REPLY, text=words)
    found = find_reply(words)
    plain = heuristics.normalize(f"{subject}\n{words}")
    failed = heuristics.says_failure(plain)
    if not system and not _shows_it(message, parts, subject, words, failed):
        return Report(ReportKind.UNKNOWN, text=words)
    recipient = headers.get("x-failed-recipients", "")[:320]
    if heuristics.says_delay(plain) and not heuristics.says_final(plain):
        return _report_words(ReportKind.DELAYED, found, words, recipient)
    if heuristics.is_success_subject(subject) and not found.code:
        return _report_words(ReportKind.DELIVERED, found, words, recipient)
    if found.code or recipient or failed:
        return _report_words(ReportKind.FAILURE, found, words, recipient)
    if heuristics.says_success(plain):
        return _report_words(ReportKind.DELIVERED, found, words, recipient)
    return Report(ReportKind.UNKNOWN, text=words)


def _report_words(kind: ReportKind, found: FoundReply, words: str, recipient: str) -> Report:
    enhanced = found.enhanced or find_enhanced(words, str(found.code)[0] if found.code else "45")
    return Report(
        kind=kind,
        permanent=kind is ReportKind.FAILURE and is_permanent(found.code, enhanced, ""),
        code=found.code,
        enhanced_status=enhanced,
        text=words[max(0, found.start) :] if found.code else words,
        recipient=recipient.strip("<> ") or heuristics.find_recipient(words, found.start),
    )


def _is_personal_answer(message: Message, parts: list[Part], subject: str, system: bool) -> bool:
    """A person's program speaks: vacation, challenge, receipt of reading."""
    if _is_disposition(message, parts) and "reject" not in subject:
        return True
    if heuristics.is_auto_subject(subject, system=system):
        return True
    if not _is_automatic(message) or heuristics.is_failure_subject(subject):
        return False
    return not system or (_is_role_alone(message) and not heuristics.says_delay(subject))


def _shows_it(message: Message, parts: list[Part], subject: str, words: str, failed: bool) -> bool:
    """A report whose sender does not show that it is one must: by a reply, an address, the original enclosed.

    What a person quotes in an answer shows nothing; a report that a person forwards is one.
    """
    own = words if heuristics.is_forwarded(subject) else heuristics.drop_quotes(words)
    found = find_reply(own)
    if heuristics.is_failure_subject(subject):
        encloses = len(parts) < len(message.parts)
        return bool(found.code or encloses or heuristics.find_address(own))
    if _has_null_path(message) and found.code and found.enhanced:
        return True
    return failed and _flufl_failures(message.headers, own)


def _is_mail_system(message: Message) -> bool:
    """Not a person nor a person's program, by what is hard to have by accident."""
    headers = message.headers
    return (
        heuristics.is_daemon(headers.get("from", "")[:500].lower())
        or "x-failed-recipients" in headers
        or message.parameters.get("report-type", "").lower() == "delivery-status"
    )


def _is_role_alone(message: Message) -> bool:
    """A postmaster and the like, with nothing else that shows a mail system: their help desk answers by program too."""
    headers = message.headers
    return (
        not heuristics.is_program(headers.get("from", "")[:500].lower())
        and "x-failed-recipients" not in headers
        and "report-type" not in message.parameters
    )


def _has_null_path(message: Message) -> bool:
    """Reports have it (RFC 3464 §2), and many automatic answers too."""
    return message.headers.get("return-path", "-").strip() in ("<>", "")


def _is_automatic(message: Message) -> bool:
    """RFC 3834 §5, and what programs older than it write."""
    headers = message.headers
    submitted = headers.get("auto-submitted", "no").strip().lower()
    return (
        not submitted.startswith("no")
        or any(name in headers for name in _AUTO_HEADERS)
        or headers.get("precedence", "").strip().lower() in ("auto_reply", "auto-reply")
        or "vacation" in headers.get("x-apple-action", "").lower()
    )


def _is_disposition(message: Message, parts: list[Part]) -> bool:
    """RFC 8098: somebody opened or deleted the mail."""
    return message.parameters.get("report-type", "").lower() == "disposition-notification" or any(
        part.content_type == "message/disposition-notification" for part in parts
    )


def _flufl_failures(headers: Mapping[str, str], words: str) -> bool:
    """What flufl.bounce makes of the words; it gets a plain message of them, so that its cost is bounded too."""
    message = email.message.Message()
    message["From"] = heuristics.find_address(headers.get("from", "")) or "unknown@invalid.invalid"
    message["Subject"] = headers.get("subject", "")[:300].replace("\n", " ")
    if "x-mailer" in headers:
        message["X-Mailer"] = headers["x-mailer"][:300].replace("\n", " ")
    message.set_payload("\n".join(words[:MAX_FLUFL].split("\n")[:MAX_FLUFL_LINES]))
    _, permanent = all_failures(message)
    return bool(permanent)
