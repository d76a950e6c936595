"""The MIME skeleton of a template: everything of the bodies that is the same for all recipients.

In: the attachments. Out: the Content-Type of the message, and the bytes before the text, between text and HTML, and
after the HTML; both texts are quoted-printable. multipart/alternative has the two texts, multipart/related adds parts
with a Content-ID, multipart/mixed the attachments (RFC 2046, RFC 2387).
"""

import base64
import hashlib
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from kannon.mail.batch import Attachment
from kannon.mail.build.headers import FOLD

_OCTETS = "application/octet-stream"
_TYPES = mimetypes.MimeTypes().types_map[True]  # Python's own table, the same on every machine
_COMPRESSED = {
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
}
_WORD = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]++"
_CONTENT_TYPE = re.compile(
    rf"""(?P<type>{_WORD})/{_WORD}(?:[ ]*+;[ ]*+{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*+"))*+""", re.VERBOSE
)
# Control characters, line separators, and marks that change the reading direction ("exe.txt" for "txt.exe").
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_QUOTABLE = re.compile(r"[ !#-\[\]-~]*")
_MAX_NAME = 200  # characters; file systems allow 255 octets
MAX_CONTENT_ID = 200
"""Characters. A msg-id cannot be folded (RFC 2045 §7, RFC 5322 §3.6.4), and a line has at most 998 octets."""
_MAX_VALUE = 60  # characters of a parameter on one line


@dataclass(frozen=True, slots=True)
class MimeSkeleton:
    """`before`, text, `between`, HTML, `after`: the body. `content_type` is the message's own."""

    content_type: str
    before: bytes
    between: bytes
    after: bytes


def build_skeleton(seed: str, attachments: Sequence[Attachment], *, has_html: bool = True) -> MimeSkeleton:
    """The boundaries are derived from `seed`; the same seed and attachments give the same bytes. Without HTML the text
    is the only part of multipart/alternative, `between` is empty, and nothing is inline."""
    # RFC 2045 §6.7: "=_" occurs in no quoted-printable and no base64 text, so these boundaries occur in no part.
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:24]
    outer, inner, related = (f"=_{digest}_{i}" for i in (1, 2, 3))
    inline = [a for a in attachments if a.content_id and has_html]
    attached = [a for a in attachments if not a.content_id or not has_html]

    opening = _open(inner) + _text_header("plain")
    between = _open(inner, after_part=True) if has_html else b""
    closing = _close(inner)
    if inline:
        kind = f'multipart/related; type="text/html"; boundary="{related}"'
        between += _header([("Content-Type", kind)]) + _open(related)
        closing = b"".join(_open(related, after_part=True) + _part(a) for a in inline) + _close(related) + closing
    content_type = f'multipart/alternative; boundary="{inner}"'
    if attached:
        opening = _open(outer) + _header([("Content-Type", content_type)]) + opening
        content_type = f'multipart/mixed; boundary="{outer}"'
        closing += b"".join(_open(outer, after_part=i > 0) + _part(a) for i, a in enumerate(attached)) + _close(outer)
    if has_html:
        between += _text_header("html")
    return MimeSkeleton(content_type, opening, between, closing)


def _open(boundary: str, *, after_part: bool = False) -> bytes:
    """RFC 2046 §5.1.1: the CRLF before a delimiter belongs to it."""
    return (b"\r\n--" if after_part else b"--") + f"{boundary}\r\n".encode("ascii")


def _close(boundary: str) -> bytes:
    return f"\r\n--{boundary}--\r\n".encode("ascii")


def _header(fields: Sequence[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("ascii") + b"\r\n"


def _text_header(subtype: str) -> bytes:
    return _header(
        [("Content-Type", f"text/{subtype}; charset=utf-8"), ("Content-Transfer-Encoding", "quoted-printable")]
    )


def _part(attachment: Attachment) -> bytes:
    """Header fields and base64 text, without a final line end."""
    name = clean_filename(attachment.filename)
    fields = [
        ("Content-Type", content_type(attachment.content_type, name)),
        ("Content-Transfer-Encoding", "base64"),
        ("Content-Disposition", f"{'inline' if attachment.content_id else 'attachment'};{FOLD}{_filename(name)}"),
    ]
    if attachment.content_id:
        fields.append(("Content-ID", f"<{clean_content_id(attachment.content_id)}>"))
    return _header(fields) + base64.encodebytes(attachment.content).replace(b"\n", b"\r\n").removesuffix(b"\r\n")


def clean_filename(name: str) -> str:
    """The last component of a path, without unsafe characters; never empty."""
    name = _UNWANTED.sub("", name).replace("\\", "/").rpartition("/")[2].strip()
    if len(name) > _MAX_NAME:
        suffix = PurePosixPath(name).suffix[:20]
        name = name[: _MAX_NAME - len(suffix)] + suffix
    return name if name.strip(".") else "attachment"


def clean_content_id(content_id: str) -> str:
    """The target of `cid:` in the HTML: visible ASCII without angle brackets."""
    return re.sub(r"[^!-~]|[<>]", "", content_id)[:MAX_CONTENT_ID] or "part"


def content_type(stated: str, filename: str) -> str:
    """As stated if that is well-formed, else by the file name; application/octet-stream for types without base64."""
    match = _CONTENT_TYPE.fullmatch(stated.strip()) if len(stated) <= 200 else None
    if match is None:
        suffix = PurePosixPath(filename).suffix.lower()
        return _COMPRESSED.get(suffix) or _TYPES.get(suffix, _OCTETS)
    # RFC 2046 §5.1, §5.2.1: multipart and message bodies are never base64.
    return _OCTETS if match["type"].lower() in ("multipart", "message") else stated.strip()


def _filename(name: str) -> str:
    """RFC 2183 §2.3; RFC 2231 §3 and §4 for names beyond ASCII or one line."""
    if len(name) <= _MAX_VALUE and _QUOTABLE.fullmatch(name):
        return f'filename="{name}"'
    encoded = "utf-8''" + quote(name, safe="", errors="replace")
    if len(encoded) <= _MAX_VALUE:
        return f"filename*={encoded}"
    lines: list[str] = []
    while encoded:
        end = min(_MAX_VALUE, len(encoded))
        if "%" in encoded[end - 2 : end] and end < len(encoded):
            end = encoded.rindex("%", 0, end)  # no octet is split between two lines
        lines.append(f"filename*{len(lines)}*={encoded[:end]}")
        encoded = encoded[end:]
    return f";{FOLD}".join(lines)
