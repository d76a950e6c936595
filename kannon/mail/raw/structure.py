"""The MIME structure of a raw message: the parts that are HTML, and whether it is signed or encrypted.

In: bytes with CRLF line ends. Out: places in them. Never fails: what cannot be read has no parts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

MAX_DEPTH = 10
MAX_PARTS = 200
# RFC 1847, RFC 8551 §3.2, RFC 3156; an inline PGP message has no type of its own.
_PROTECTED = frozenset(
    {"multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"}
    | {"application/pgp-encrypted", "application/pkcs7-signature", "application/x-pkcs7-signature"}
)
_INLINE_PGP = b"-----BEGIN PGP "
_HEADERS = BytesHeaderParser()


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf: its header begins at `start`, its content is [body, end)."""

    start: int
    body: int
    end: int
    kind: str
    charset: str
    encoding: str
    attached: bool


class Protected(Exception):
    """The message is signed or encrypted, as a whole or in a part."""


def html_parts(message: bytes) -> list[Part]:
    """Those that are shown, in order. Raises Protected."""
    if _INLINE_PGP in message:
        raise Protected
    parts: list[Part] = []
    for part in _walk(message, 0, len(message), 0):
        if part.kind == "text/html" and not part.attached:
            parts.append(part)
    return parts


def _walk(message: bytes, start: int, end: int, depth: int) -> Iterator[Part]:
    body = _body_start(message, start, end)
    header = _HEADERS.parsebytes(message[start:body])
    kind = header.get_content_type()
    if kind in _PROTECTED or (depth == 0 and "dkim-signature" in header):
        raise Protected
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or boundary is None:
        yield _leaf(header, start, body, end)
    elif depth < MAX_DEPTH:
        for part_start, part_end in _split(message, body, end, boundary):
            yield from _walk(message, part_start, part_end, depth + 1)


def _body_start(message: bytes, start: int, end: int) -> int:
    if message.startswith(b"\r\n", start):
        return min(start + 2, end)
    found = message.find(b"\r\n\r\n", start, end)
    return found + 4 if found >= 0 else end


def _split(message: bytes, start: int, end: int, boundary: str) -> list[tuple[int, int]]:
    """RFC 2046 §5.1.1: the CRLF before a delimiter belongs to it. A missing last delimiter ends the last part."""
    mark = re.escape(b"--" + boundary.encode("utf-8", "surrogateescape"))
    places: list[tuple[int, int]] = []
    begin: int | None = None
    for match in re.finditer(rb"(?:\A|(?<=\r\n))" + mark + rb"(--)?[ \t]*(?=\r\n|\Z)", message[start:end]):
        if begin is not None:
            places.append((begin, max(begin, start + match.start() - 2)))
        if match[1] or len(places) >= MAX_PARTS:
            return places
        begin = min(start + match.end() + 2, end)
    if begin is not None:
        places.append((begin, end))
    return places


def _leaf(header: "Message[str, str]", start: int, body: int, end: int) -> Part:
    return Part(
        start,
        body,
        end,
        header.get_content_type(),
        header.get_content_charset("us-ascii"),
        str(header.get("content-transfer-encoding", "7bit")).strip().lower(),
        header.get_content_disposition() == "attachment",
    )
