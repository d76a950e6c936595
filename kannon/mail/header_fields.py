"""The header fields that a caller may add to its mails: the rules, and the names that Kannon keeps for itself.

In: names and values as given. Out: nothing, or InvalidArgument that names the field.
"""

import re
from collections.abc import Sequence

from kannon.errors import InvalidArgument

HeaderField = tuple[str, str]
"""Name and value, which may contain placeholders."""

MAX_FIELDS = 50
MAX_NAME = 76
"""Characters, so that a name and the start of its value fit into a line of 78 (RFC 5322 §2.1.1)."""
MAX_VALUE = 2000
MAX_WORD = 900
"""Characters without white space, where a line can be folded: no line may exceed 998 (RFC 5322 §2.1.1)."""
_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 §3.6.8: printable ASCII without the colon
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_OWNED = {
    "from": "sender",
    "reply-to": "headers.reply_to",
    "to": "headers.to",
    "cc": "headers.cc",
    "bcc": "headers.bcc",
    "subject": "subject",
    "list-unsubscribe": "one_click_unsubscribe",
    "list-unsubscribe-post": "one_click_unsubscribe",
}
"""By the field of the request that states it."""
_RESERVED = frozenset(
    {
        *("date", "sender", "message-id", "x-pool-message-id", "return-path", "received", "delivered-to"),
        *("mime-version", "dkim-signature", "domainkey-signature", "authentication-results", "received-spf"),
    }
)
_RESERVED_PREFIXES = ("content-", "resent-", "arc-", "x-kannon-")


def check_header_fields(fields: Sequence[HeaderField]) -> None:
    if len(fields) > MAX_FIELDS:
        raise InvalidArgument("headers.fields", f"{len(fields)} fields are more than the {MAX_FIELDS} allowed")
    for position, (name, value) in enumerate(fields):
        _check_name(name, f"headers.fields[{position}].name")
        _check_value(value, f"headers.fields[{position}].value")


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(where, "is not the name of a header field")
    if len(name) > MAX_NAME:
        raise InvalidArgument(where, f"is longer than {MAX_NAME} characters")
    lower = name.lower()
    if lower in _OWNED:
        raise InvalidArgument(where, f"{name} is written from {_OWNED[lower]}")
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
        raise InvalidArgument(where, f"{name} is reserved")


def _check_value(value: str, where: str) -> None:
    if not value.strip():
        raise InvalidArgument(where, "must not be empty")
    if len(value) > MAX_VALUE:
        raise InvalidArgument(where, f"is longer than {MAX_VALUE} characters")
    if "\r" in value or "\n" in value:
        raise InvalidArgument(where, "must not contain a line break")
    if _FORBIDDEN.search(value):
        raise InvalidArgument(where, "must not contain control characters")
    if value.isascii() and len(max(value.split(), key=len)) > MAX_WORD:
        raise InvalidArgument(where, f"has more than {MAX_WORD} characters without white space")
