"""Checks a raw message and completes it (RFC 6409 §8): Date and Message-ID where missing; without Bcc and Return-Path.

In: the caller's bytes. Out: a RawMessage, or InvalidArgument or PermissionDenied. All that remains is byte for byte the
caller's. What receivers could read in two ways is refused: bare CR or LF, NUL, a second From, two addresses in it.
"""

import re
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from kannon.errors import InvalidArgument, PermissionDenied
from kannon.mail.address import Address, parse_address, sender_authorized
from kannon.mail.build.headers import format_date
from kannon.mail.raw.header import Field, parse_fields, split_header, unfold

MAX_LINE = 998
"""RFC 5322 §2.1.1."""
MAX_HOPS = 100
"""RFC 5321 §6.3: a message with more Received fields is in a loop."""
_LONG_LINE = re.compile(rb"[^\r\n]{%d}" % (MAX_LINE + 1))
_REMOVED = frozenset({"bcc", "return-path"})
# RFC 5322 §3.6 and RFC 2045 §3: at most one of each.
_SINGLE = ("sender", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references")
_SINGLE_MIME = ("mime-version", "content-type", "content-transfer-encoding")
_MAX_SUBJECT = 998
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
# RFC 5322 §3.4. Unquoted special characters in a display name could be another address: `a@b.example, <c@d.example>`.
_MAILBOX = re.compile(
    rf"""(?P<name>(?:(?:{_QUOTED}|[^\s"(),:;<>@\[\]\\]++)\s*+)*+)<\s*(?P<angle>[^<>\s"]++|{_QUOTED}@[^<>\s"]++)\s*>""",
    re.VERBOSE,
)
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RawMessage:
    """`content` is as passed on, but for the signature; it ends with CRLF. `sender` is the address in From, `subject`
    the decoded one."""

    content: bytes
    sender: Address
    subject: str


def prepare_raw(
    message: bytes,
    domain: str,
    now: datetime,
    message_id: str,
    *,
    smtputf8: bool = False,
    remove: Collection[str] = (),
    trace: bytes = b"",
) -> RawMessage:
    """`message_id` is for a message that has none, without angle brackets; `remove` are further names of fields (lower
    case) that are not passed on; `trace` is a Received field to put in front."""
    if not message:
        raise InvalidArgument("message", "is empty")
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    _check_lines(message)
    header, body = split_header(message)
    try:
        fields = parse_fields(header)
    except ValueError as error:
        raise InvalidArgument("message", str(error)) from None
    _check_characters(header, smtputf8)
    names = Counter(field.name for field in fields)
    sender = _find_sender(fields, names)
    if not sender_authorized(sender.domain, domain):
        raise PermissionDenied(f'sender domain "{sender.domain}" is not authorized for tenant "{domain}"')
    for name in (*_SINGLE, *_SINGLE_MIME):
        if names[name] > 1:
            raise InvalidArgument("message", f"has {names[name]} {name.title()} fields; RFC 5322 allows one")
    if names["received"] > MAX_HOPS:
        raise InvalidArgument("message", f"has passed {names['received']} servers: it is in a loop")
    kept = [field.raw for field in fields if field.name not in _REMOVED and field.name not in remove]
    added = [trace]
    if "date" not in names:
        added.append(f"Date: {format_date(now)}\r\n".encode("ascii"))
    if "message-id" not in names:
        added.append(f"Message-ID: <{message_id}>\r\n".encode("ascii"))
    subject = next((field.value for field in fields if field.name == "subject"), b"")
    return RawMessage(b"".join([*added, *kept, b"\r\n", body]), sender, _decode(subject))


def _check_lines(message: bytes) -> None:
    if b"\0" in message:
        raise InvalidArgument("message", "contains a NUL")
    ends = message.count(b"\r\n")
    if message.count(b"\n") != ends:
        raise InvalidArgument("message", "contains a bare LF: lines end with CRLF")
    if message.count(b"\r") != ends:
        raise InvalidArgument("message", "contains a bare CR: lines end with CRLF")
    if found := _LONG_LINE.search(message):
        line = message.count(b"\r\n", 0, found.start()) + 1
        raise InvalidArgument("message", f"has more than {MAX_LINE} octets in line {line}")


def _check_characters(header: bytes, smtputf8: bool) -> None:
    if header.isascii():
        return
    if not smtputf8:
        raise InvalidArgument("message", "has characters beyond ASCII in its header, which needs SMTPUTF8")
    try:
        header.decode()  # RFC 6532 §3.1
    except UnicodeDecodeError:
        raise InvalidArgument("message", "has a header that is not UTF-8") from None


def _find_sender(fields: list[Field], names: Counter[str]) -> Address:
    if names["from"] != 1:
        problem = f"has {names['from']} From fields" if names["from"] else "has no From field"
        raise InvalidArgument("message", f"{problem}; one is needed")
    text = _without_comments(unfold(next(field.value for field in fields if field.name == "from"))).strip()
    match = _MAILBOX.fullmatch(text)
    try:
        return parse_address(match["angle"] if match else text)
    except ValueError as error:
        raise InvalidArgument("message", f"has a From field that is not one address: {error}") from None


def _without_comments(text: str) -> str:
    """RFC 5322 §3.2.2: `root@example.com (Cron Daemon)`. An unbalanced parenthesis stays, and is no address."""
    if "(" not in text:
        return text
    out: list[str] = []
    depth = 0
    quoted = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif character == "(" and not quoted:
            depth += 1
            continue
        elif character == ")" and not quoted and depth:
            depth -= 1
            continue
        if not depth:
            out.append(character)
    return text if depth else "".join(out)


def _decode(subject: bytes) -> str:
    """For lists. RFC 2047, as far as it can be decoded."""
    text = unfold(subject)
    with suppress(HeaderParseError, ValueError, LookupError):
        text = str(make_header(decode_header(text)))
    return _UNSTORABLE.sub(" ", text)[:_MAX_SUBJECT]
