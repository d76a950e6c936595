"""One function, read_report: the bytes of a mail that came to a bounce address in, a Report out.

Machine-readable parts are believed first (RFC 5965, RFC 3464), then headers that mark automatic mail (RFC 3834), then
the words. It never raises. What it refuses: to take for a failure what is delayed, delivered, a complaint, an
automatic answer, or a person's letter. A failure that names no code is permanent: the server has given the mail up.
"""

import email.message
import re
from collections.abc import Mapping

from flufl.bounce import all_failures

from kannon.mail.report import prose
from kannon.mail.report.mime import Message, Part, parse_message
from kannon.mail.report.replies import FoundReply, find_enhanced, find_reply
from kannon.mail.report.status import DeliveryStatus, RecipientStatus, parse_delivery_status, parse_feedback
from kannon.mail.report.values import Report, ReportKind

MAX_WORDS = 1000
MAX_FLUFL, MAX_FLUFL_LINES = 8 << 10, 200
"""flufl.bounce tries some 150 patterns on every line."""
MAX_RECEIVED = 50
"""Hops after which a mail is taken to run in a circle, RFC 5321 §6.3; ours pass through two or three."""

_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ORIGINAL_TYPES = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers", "message/partial"}
)
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other", "opt-out", "opt-out-list", "miscategorized"})
_AUTO_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-autoreply-from", "x-autoresponder", "x-vacation")


def read_report(raw: bytes) -> Report:
    """Never raises; linear in the size of `raw`, of which at most the first MiB is read."""
    try:
        return _read(raw)
    except Exception:  # a report is a stranger's bytes: whatever goes wrong in reading it, the mail is kept going
        return Report(ReportKind.UNKNOWN)


def _read(raw: bytes) -> Report:
    message = parse_message(raw)
    if message.received_count > MAX_RECEIVED:
        return Report(ReportKind.UNKNOWN, text="too many hops")
    own = [part for part in message.parts if part.content_type not in _ORIGINAL_TYPES]
    complaint = _read_feedback(own)
    if complaint is not None:
        return complaint
    words = _own_words(own)
    status = _read_status(message, own)
    if status is not None:
        report = _judge_status(status, words)
        if report is not None:
            return report
    return _read_prose(message, own, words)


def _read_feedback(parts: list[Part]) -> Report | None:
    for part in parts:
        if part.content_type == "message/feedback-report":
            fields = parse_feedback(part.text)
            # RFC 5965 §3.1; an auth-failure report (RFC 6591) or "not-spam" is nobody's complaint.
            kind = fields.get("feedback-type", "abuse").strip().lower()
            recipient = fields.get("original-rcpt-to", "").strip("<> ")
            known = ReportKind.COMPLAINT if kind in _COMPLAINTS else ReportKind.UNKNOWN
            return Report(known, text=kind[:MAX_WORDS], recipient=recipient)
    return None


def _own_words(parts: list[Part]) -> str:
    """The human-readable text before the original message, of the first parts that have any."""
    pieces: list[str] = []
    for part in parts[:8]:
        if part.content_type == "text/html":
            if not pieces:
                pieces.append(prose.cut_original(_strip_tags(part.text)))
        elif part.content_type.startswith("text/"):
            pieces.append(prose.cut_original(part.text))
    return "\n".join(pieces)[: prose.MAX_PROSE]


def _strip_tags(html: str) -> str:
    out = []
    for piece in html.split("<"):
        tag, closed, text = piece.partition(">")
        if not closed:
            out.append(piece)
            continue
        name = tag[:8].strip("/ ").lower()
        if name.startswith(("br", "p", "div", "tr", "h", "li", "td")):
            out.append("\n")
        out.append(text)
    return (
        "".join(out)
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&")
        .replace("&#39;", "'")
    )


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


def _judge_status(status: DeliveryStatus, words: str) -> Report | None:
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
    if recipient.action == "" and recipient.status.startswith("5"):
        return ReportKind.FAILURE
    return None


def _report_status(kind: ReportKind, recipient: RecipientStatus, status: DeliveryStatus, words: str) -> Report:
    diagnostic = recipient.diagnostic
    found = _reply_of(diagnostic, recipient.status)
    if not found.code and kind is not ReportKind.DELIVERED:
        found = _better(found, find_reply(words), recipient.status)
    enhanced = found.enhanced or _specific(recipient.status, find_enhanced(diagnostic, recipient.status[:1] or "45"))
    return Report(
        kind=kind,
        permanent=kind is ReportKind.FAILURE and _is_permanent(found.code, found.enhanced, recipient.status),
        code=found.code,
        enhanced_status=enhanced,
        text=_one_line(diagnostic or words),
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


def _is_permanent(code: int, enhanced: str, status: str) -> bool:
    """The remote's enhanced status says most, then Status, then the reply code; nothing at all: given up, permanent."""
    for evidence in (enhanced, status, str(code) if code else ""):
        if evidence:
            return evidence.startswith("5")
    return True


def _read_prose(message: Message, parts: list[Part], words: str) -> Report:
    headers = message.headers
    subject = prose.normalize(headers.get("subject", "")[:500])
    plain = prose.normalize(f"{subject}\n{words}")
    speaks = _is_mail_system(message) or prose.is_failure_subject(subject)
    if (_is_disposition(message, parts) and "reject" not in subject) or (
        _is_automatic(message, subject) and not speaks
    ):
        return Report(ReportKind.AUTO_REPLY, text=_one_line(words))
    if prose.is_auto_subject(subject) and not _is_mail_system(message):
        return Report(ReportKind.AUTO_REPLY, text=_one_line(words))
    found = find_reply(words)
    if (
        not speaks
        and not (_has_null_path(message) and found.code and found.enhanced)
        and not _flufl_failures(headers, words)
    ):
        return Report(ReportKind.UNKNOWN, text=_one_line(words))
    recipient = headers.get("x-failed-recipients", "")[:320]
    if prose.says_delay(plain) and not prose.says_final(plain):
        return _report_words(ReportKind.DELAYED, found, words, recipient)
    if found.code or recipient or prose.says_failure(plain):
        return _report_words(ReportKind.FAILURE, found, words, recipient)
    if prose.says_success(plain):
        return _report_words(ReportKind.DELIVERED, found, words, recipient)
    if _flufl_failures(headers, words):
        return _report_words(ReportKind.FAILURE, found, words, recipient)
    return Report(ReportKind.UNKNOWN, text=_one_line(words))


def _report_words(kind: ReportKind, found: FoundReply, words: str, recipient: str) -> Report:
    enhanced = found.enhanced or find_enhanced(words, str(found.code)[0] if found.code else "45")
    return Report(
        kind=kind,
        permanent=kind is ReportKind.FAILURE and _is_permanent(found.code, enhanced, ""),
        code=found.code,
        enhanced_status=enhanced,
        text=_one_line(words[max(0, found.start) :] if found.code else words),
        recipient=recipient.strip("<> ") or prose.find_recipient(words, found.start),
    )


def _is_mail_system(message: Message) -> bool:
    """Not a person nor a person's program, by what is hard to have by accident."""
    headers = message.headers
    return (
        prose.is_daemon(headers.get("from", "")[:500].lower())
        or "x-failed-recipients" in headers
        or message.parameters.get("report-type", "").lower() == "delivery-status"
    )


def _has_null_path(message: Message) -> bool:
    """Reports have it (RFC 3464 §2), and many automatic answers too."""
    return message.headers.get("return-path", "-").strip() in ("<>", "")


def _is_automatic(message: Message, subject: str) -> bool:
    """RFC 3834 §5, and what programs older than it write."""
    headers = message.headers
    submitted = headers.get("auto-submitted", "no").strip().lower()
    return (
        not submitted.startswith("no")
        or any(name in headers for name in _AUTO_HEADERS)
        or headers.get("precedence", "").strip().lower() in ("auto_reply", "auto-reply")
        or "vacation" in headers.get("x-apple-action", "").lower()
        or prose.is_auto_subject(subject)
    )


def _is_disposition(message: Message, parts: list[Part]) -> bool:
    """RFC 8098: somebody opened or deleted the mail."""
    return message.parameters.get("report-type", "").lower() == "disposition-notification" or any(
        part.content_type == "message/disposition-notification" for part in parts
    )


def _flufl_failures(headers: Mapping[str, str], words: str) -> bool:
    """What flufl.bounce makes of the words; it gets a plain message of them, so that its cost is bounded too."""
    message = email.message.Message()
    message["From"] = prose.find_address(headers.get("from", "")) or "unknown@invalid.invalid"
    message["Subject"] = headers.get("subject", "")[:300].replace("\n", " ")
    if "x-mailer" in headers:
        message["X-Mailer"] = headers["x-mailer"][:300].replace("\n", " ")
    message.set_payload("\n".join(words[:MAX_FLUFL].split("\n")[:MAX_FLUFL_LINES]))
    _, permanent = all_failures(message)
    return bool(permanent)


def _one_line(text: str) -> str:
    return " ".join(text[: MAX_WORDS * 4].split())[:MAX_WORDS]
