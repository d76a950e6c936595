"""Header fields of a report: whether a mail system, a program of a person, or a person sent it.

In: a parsed message. Out: yes or no. A mail system may be a program (`MAILER-DAEMON`) or a role (`postmaster`), and
behind a role a help desk may answer automatically too.
"""

from kannon.mail.bounce import heuristics
from kannon.mail.bounce.parse import Message

_AUTO_FIELDS = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-autoreply-from", "x-autoresponder", "x-vacation")


def is_mail_system(message: Message) -> bool:
    """By marks that a person or an autoresponder hardly sets by accident."""
    fields = message.headers
    return (
        heuristics.is_daemon(fields.get("from", "")[:500].lower())
        or "x-failed-recipients" in fields
        or message.parameters.get("report-type", "").lower() == "delivery-status"
    )


def is_role_only(message: Message) -> bool:
    """A role address such as postmaster, without any other mark of a mail system."""
    return (
        not heuristics.is_program(message.headers.get("from", "")[:500].lower())
        and "x-failed-recipients" not in message.headers
        and "report-type" not in message.parameters
    )


def has_null_return_path(message: Message) -> bool:
    """Reports have it (RFC 3464 §2), and many automatic replies too."""
    return message.headers.get("return-path", "-").strip() in ("<>", "")


def is_automatic(message: Message) -> bool:
    """RFC 3834 §5, and the fields of older programs."""
    fields = message.headers
    return (
        not fields.get("auto-submitted", "no").strip().lower().startswith("no")
        or any(name in fields for name in _AUTO_FIELDS)
        or fields.get("precedence", "").strip().lower() in ("auto_reply", "auto-reply")
        or "vacation" in fields.get("x-apple-action", "").lower()
    )


def is_disposition(message: Message) -> bool:
    """RFC 8098: the recipient's program reports that the mail was opened or deleted."""
    return message.parameters.get("report-type", "").lower() == "disposition-notification" or any(
        part.content_type == "message/disposition-notification" for part in message.parts
    )
