"""A tolerant MIME parser with linear cost: raw bytes in, header fields and a flat list of leaf parts out.

It refuses nothing: a missing boundary, a broken header, a wrong encoding or a truncated message still yields the
readable rest. Limits on bytes, parts and depth bound the cost of hostile input. The original message in a report
(message/rfc822, text/rfc822-headers) is a leaf and stays closed, unless it is itself a report that a gateway wrapped.
"""

import binascii
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header

MAX_BYTES = 1 << 20
"""Of a message; beyond it is the returned original."""
MAX_TEXT = 64 << 10
"""Of one part's text. Real reports without their original are below 20 KiB."""
MAX_HEADER = 8 << 10
MAX_HEADER_LINES = 4000
MAX_PARTS = 60
MAX_DEPTH = 6

_PARAMETER = re.compile(r';[ \t]*([A-Za-z0-9*_-]{1,40})[ \t]*=[ \t]*(?:"([^"]{0,300})"|([^\s;"]{1,300}))')
_CHARSETS = re.compile(
    r"utf-?8|us-ascii|iso-?8859-\d+|windows-125\d|cp\d+|koi8-[ru]|iso-2022-\w+|euc-\w+|shift_jis|gb\w+|big5"
)
_BLOCKS = ("br", "p", "div", "tr", "h", "li", "td", "pre", "blockquote")
_DECODED_FIELDS = frozenset({"subject", "from", "x-failed-recipients", "x-mailer"})
_HEADER_NAME = re.compile(rb"([!-9;-~]{1,76})[ \t]*:")


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf part. `body` is still transfer-encoded."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Transfer- and charset-decoded, at most MAX_TEXT characters, line ends LF."""
        return _decode_text(self.body, self.headers)


@dataclass(frozen=True, slots=True)
class Message:
    """`headers`: name in lower case → first value, unfolded; fields for people are RFC 2047 decoded."""

    headers: Mapping[str, str]
    content_type: str
    parameters: Mapping[str, str]
    parts: tuple[Part, ...]
    received_count: int


def parse_message(raw: bytes) -> Message:
    data = raw[:MAX_BYTES].replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"").lstrip(b"\n \t")
    if data.startswith(b"From "):  # an mbox separator that some gateways leave in place
        data = data.partition(b"\n")[2]
    fields, body = split_headers(data)
    headers = _first_values(fields)
    content_type, parameters = parse_content_type(headers.get("content-type", ""))
    parts: list[Part] = []
    _collect(headers, body, parts, 0)
    received = sum(1 for name, _ in fields if name == "received")
    return Message(headers, content_type, parameters, tuple(parts), received)


def split_headers(data: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """The fields of the header, unfolded, and the text after its blank line."""
    fields: list[tuple[str, str]] = []
    position = 0
    for _ in range(MAX_HEADER_LINES):
        if position >= len(data):
            break
        end = data.find(b"\n", position)
        end = len(data) if end < 0 else end
        line = data[position:end]
        if not line.strip():
            return fields, data[end + 1 :]
        match = _HEADER_NAME.match(line)
        if line[:1] in b" \t" and fields:
            name, value = fields[-1]
            if len(value) < MAX_HEADER:
                folded = line[:MAX_HEADER].decode("utf-8", "replace").strip()
                fields[-1] = (name, f"{value} {folded}")
        elif match:
            value = line[match.end() : match.end() + MAX_HEADER].decode("utf-8", "replace").strip()
            fields.append((match[1].decode("ascii").lower(), value))
        else:
            return fields, data[position:]  # the blank line or the whole header is missing
        position = end + 1
    return fields, data[position:]


def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """`multipart/report; report-type=x` → ("multipart/report", {"report-type": "x"}); text/plain without a type."""
    value = value[:MAX_HEADER]
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(value):
        parameters.setdefault(name.lower(), quoted or bare)
    kind = value.partition(";")[0].strip().lower()
    return (kind if "/" in kind else "text/plain"), parameters


def decode_encoded_words(value: str) -> str:
    """Decodes RFC 2047 §2 encoded words; broken ones stay."""
    if "=?" not in value:
        return value
    line = " ".join(value[:MAX_HEADER].splitlines())
    # After the last "?=" the decoder would search each "=?" to the end of the line, at quadratic cost.
    end = line.rfind("?=") + 2
    if end < 2:
        return value
    try:
        pieces = decode_header(line[:end])
    except (HeaderParseError, ValueError):
        return value
    words = "".join(p if isinstance(p, str) else decode_bytes(p, charset or "") for p, charset in pieces)
    return words + line[end:]


def decode_bytes(data: bytes, charset: str) -> str:
    """By a known charset; any other (utf-7, idna, misspelt) as UTF-8. Invalid bytes are replaced."""
    charset = charset.strip().lower()
    if _CHARSETS.fullmatch(charset):
        try:
            return data.decode(charset, "replace")
        except (LookupError, ValueError):
            pass
    return data.decode("utf-8", "replace")


def _first_values(fields: list[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in fields:
        if name not in headers:
            headers[name] = decode_encoded_words(value) if name in _DECODED_FIELDS else value
    return headers


def _collect(headers: Mapping[str, str], body: bytes, parts: list[Part], depth: int) -> None:
    content_type, parameters = parse_content_type(headers.get("content-type", ""))
    boundary = parameters.get("boundary", "").strip()
    if content_type.startswith("multipart/") and boundary and depth < MAX_DEPTH:
        pieces = _split_multipart(body, b"--" + boundary.encode("utf-8", "replace"))
        if pieces:
            for piece in pieces:
                fields, content = split_headers(piece)
                _collect(_first_values(fields), content, parts, depth + 1)
            return
    if content_type == "message/rfc822" and depth < MAX_DEPTH:
        fields, content = split_headers(body[:MAX_BYTES])
        inner = _first_values(fields)
        if inner.get("content-type", "").lower().startswith("multipart/report"):
            _collect(inner, content, parts, depth + 1)
            return
    if content_type.startswith("multipart/"):
        content_type = "text/plain"
    if len(parts) < MAX_PARTS:
        parts.append(Part(content_type, headers, body))


def _split_multipart(body: bytes, delimiter: bytes) -> list[bytes]:
    """RFC 2046 §5.1.1: the pieces between delimiter lines; the last piece may lack its end. Without delimiters:
    none."""
    pieces: list[bytes] = []
    start = -1
    position = 0
    while len(pieces) < MAX_PARTS:
        found = body.find(delimiter, position)
        if found < 0:
            break
        position = found + len(delimiter)
        if found and body[found - 1] != 0x0A:
            continue
        end = body.find(b"\n", position)
        end = len(body) if end < 0 else end
        tail = body[position : min(end, position + 80)].strip()
        if tail not in (b"", b"--"):
            continue  # another boundary with the same beginning
        if start >= 0:
            pieces.append(body[start : max(start, found - 1)])
        start = end + 1
        if tail == b"--":
            return pieces
    if 0 <= start < len(body) and len(pieces) < MAX_PARTS:
        pieces.append(body[start:])
    return pieces


def _decode_text(body: bytes, headers: Mapping[str, str]) -> str:
    encoding = headers.get("content-transfer-encoding", "").strip().lower()
    if encoding == "base64":
        data = _decode_base64(body[: MAX_TEXT * 2])
    elif encoding == "quoted-printable":
        data = binascii.a2b_qp(body[: MAX_TEXT * 3])
    else:
        data = body[:MAX_TEXT]
    _, parameters = parse_content_type(headers.get("content-type", ""))
    text = decode_bytes(data[: MAX_TEXT * 4], parameters.get("charset", ""))
    return text.replace("\r\n", "\n").replace("\r", "\n")[:MAX_TEXT]


def _decode_base64(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:
        pass
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
    try:
        return binascii.a2b_base64(clean[: len(clean) // 4 * 4])
    except binascii.Error:
        return body


def strip_tags(markup: str) -> str:
    """The text of HTML, a line per block: sufficient to search for phrases."""
    pieces: list[str] = []
    for piece in markup.split("<"):
        tag, closed, text = piece.partition(">")
        if not closed:
            pieces.append(piece)
            continue
        if tag[:8].strip("/ ").lower().startswith(_BLOCKS):
            pieces.append("\n")
        pieces.append(text)
    return html.unescape("".join(pieces))
