"""Makes the HTML parts of a raw message changeable: decodes them, and has their headers say what they become.

In: a message. Out: its HTML, which is rendered per recipient and goes out as quoted-printable UTF-8, whatever encoding
and character set it had, and the bytes around it. None where nothing may or can be changed.
"""

import base64
import binascii
import quopri
import re
from typing import NamedTuple

from kannon.mail.raw.structure import Part, Protected, html_parts

_CONTENT_TYPE = re.compile(rb"(?im)^content-type[ \t]*:(?:[^\r\n]|\r\n[ \t])*")
_ENCODING = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:(?:[^\r\n]|\r\n[ \t])*\r\n")
_CHARSET = re.compile(rb"""(?i)(;\s*charset\*?\s*=\s*)(?:"[^"]*"|[^\s;]+)""")


class SplitMessage(NamedTuple):
    """`parts`: each HTML text after the bytes before it, the first of which begin with the message's header."""

    parts: list[tuple[bytes, str]]
    end: bytes


def split_html(message: bytes) -> SplitMessage | None:
    """None: it is signed or encrypted, or has no HTML that can be decoded."""
    try:
        parts = html_parts(message)
    except Protected:
        return None
    found: list[tuple[bytes, str]] = []
    done = 0
    for part in parts:
        html = _decode(message[part.body : part.end], part)
        if html is None:
            continue
        found.append((message[done : part.start] + _new_header(message[part.start : part.body]), html))
        done = part.end
    return SplitMessage(found, message[done:]) if found else None


def _decode(content: bytes, part: Part) -> str | None:
    """None: it has an unknown encoding or character set, or is malformed."""
    try:
        match part.encoding:
            case "7bit" | "8bit" | "binary" | "":
                pass
            case "quoted-printable":
                content = quopri.decodestring(content)
            case "base64":
                content = base64.b64decode(content.replace(b"\r\n", b"").strip(), validate=True)
            case _:
                return None
        charset = "utf-8" if part.charset in ("us-ascii", "ascii") else part.charset
        html = content.decode(charset).rstrip("\r\n")
        return html.replace("\r\n", "\n").replace("\r", "\n") or None
    except (binascii.Error, ValueError, LookupError):
        return None


def _new_header(header: bytes) -> bytes:
    """`header` ends with the empty line."""
    header = _ENCODING.sub(b"", header)
    match = _CONTENT_TYPE.search(header)
    if match is None:  # text/html has one
        return header
    field, count = _CHARSET.subn(rb'\1"utf-8"', match[0])
    if not count:
        field += b'; charset="utf-8"'
    field += b"\r\nContent-Transfer-Encoding: quoted-printable"
    return header[: match.start()] + field + header[match.end() :]
