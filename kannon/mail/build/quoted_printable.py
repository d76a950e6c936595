"""Text as quoted-printable (RFC 2045 §6.7), in pieces that are encoded separately and then joined.

A soft line break ends each piece, so that the next begins in column 0. The constant pieces of a template are encoded
and canonicalised for DKIM once per batch, only the values per mail. The joined pieces decode to exactly the text.
"""

import binascii
import re
from typing import NamedTuple

SOFT_BREAK = b"=\r\n"
_LINE_ENDS = re.compile(r"\r\n?")
_SPACES = re.compile(rb"[ \t]++")
# b2a_qp ignores that an encoded space at the end of a line takes three characters.
_OVERLONG = re.compile(rb"^([^\r\n]{74,75})(=20|=09)(?=\r\n|\Z)", re.MULTILINE)
# Characters that are not encoded, without runs of spaces: most values.
PLAIN = r"[!-<>-~]++(?: [!-<>-~]++)*+"
_PLAIN = re.compile(PLAIN)
# A few words of any script, with single spaces between them: most other values.
_UNBROKEN = re.compile(r"[!-~\u00a1-\uffff]++(?: [!-~\u00a1-\uffff]++)*+")
_SHORT = 25  # octets: in any case one line
MAX_LINE = 75  # RFC 2045 §6.7 (5): 76, the "=" of a soft break included


class Encoded(NamedTuple):
    """A piece on the wire, and canonical for DKIM (RFC 6376 §3.4.4); usually the same bytes."""

    wire: bytes
    canonical: bytes


def encode_piece(text: str, *, last: bool = False) -> Encoded:
    """Encodes one piece; every piece but the last ends with a line break."""
    if not text:
        return _EMPTY
    if _PLAIN.fullmatch(text):
        plain = text.encode("ascii")
        if len(plain) > MAX_LINE:
            plain = SOFT_BREAK.join([plain[i : i + MAX_LINE] for i in range(0, len(plain), MAX_LINE)])
        if not last:
            plain += SOFT_BREAK
        return Encoded(plain, plain)
    if len(text) <= _SHORT and _UNBROKEN.fullmatch(text) and len(octets := text.encode("utf-8", "replace")) <= _SHORT:
        quoted = binascii.b2a_qp(octets) + (b"" if last else SOFT_BREAK)
        return Encoded(quoted, quoted)
    data = _LINE_ENDS.sub("\n", text).replace("\n", "\r\n").encode("utf-8", "replace")
    if last or data.endswith(b"\r\n"):
        wire = _quote(data, b"\r\n" if last else b"")
    else:
        # One more character reserves room for the "=" of the soft break on the last line.
        wire = _quote(data, b".")
        wire = wire if wire.endswith(SOFT_BREAK) else wire + SOFT_BREAK
    return Encoded(wire, relax_body(wire))


_EMPTY = Encoded(b"", b"")


def _quote(data: bytes, behind: bytes) -> bytes:
    quoted = binascii.b2a_qp(data + behind, istext=True)
    if b"\r\n" not in data + behind:
        quoted = quoted.replace(b"=\n", SOFT_BREAK)  # without a CRLF in its input, b2a_qp breaks lines with LF
    quoted = quoted[: len(quoted) - len(behind)]
    return _OVERLONG.sub(rb"\1=\r\n\2", quoted) if b"=20" in quoted or b"=09" in quoted else quoted


def relax_body(lines: bytes) -> bytes:
    """RFC 6376 §3.4.4 for whole lines: a run of white space becomes one space, and is removed before a line end."""
    if b"  " not in lines and b"\t" not in lines and b" \r\n" not in lines:
        return lines
    return _SPACES.sub(b" ", lines).replace(b" \r\n", b"\r\n")
