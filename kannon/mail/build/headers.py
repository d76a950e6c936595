"""Header fields: any text in, lines fit for SMTP out.

In: untrusted text. Out: values folded at 76 columns if possible, ASCII except for international addresses (RFC 6532).
CR, LF and NUL become spaces, so that no text starts another field.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from kannon.mail.address import Address
from kannon.mail.header_fields import MAX_WORD

_Part = TypeVar("_Part", str, bytes)
FOLD = "\r\n "
_MAX_LINE = 76  # RFC 2047 §2 for lines with encoded words; RFC 5322 §2.1.1 recommends 78
_MAX_NAME = 200  # of a display name on one line
_MAX_WORD = 200  # longer words are encoded, so that they can be folded; RFC 5322 §2.1.1 allows lines of 998
# The content of one encoded word: with "Subject: " before it the line stays within _MAX_LINE.
_Q_CHUNK = 54
_B_CHUNK = 39
_Q_SAFE = frozenset(
    bytes([x]) for x in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
)  # §5 (3)
_FORBIDDEN = re.compile(r"[\r\n\0\ud800-\udfff]")
_PRINTABLE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*+")
_SPACES = re.compile(rb"[ \t]++")


def encode_unstructured(text: str, *, column: int = 0) -> str:
    """The value of an unstructured field such as Subject (RFC 5322 §3.2.5, RFC 2047), which starts at `column`."""
    text = _FORBIDDEN.sub(" ", text)
    # White space at the ends, and text that resembles an encoded word, would be decoded differently.
    if not text or (_PRINTABLE.fullmatch(text) and "=?" not in text):
        if len(text) + column <= _MAX_LINE:
            return text
        if "  " not in text and len(max(text.split(" "), key=len)) <= _MAX_WORD:
            return fold_words(text.split(" "), column=column)
    return FOLD.join(_encoded_words(text))


def encode_field(text: str, *, column: int) -> str:
    """The value of a field of the caller: ASCII is folded and never encoded, for the field may be structured, as
    References is. Text beyond ASCII, and words that no line can hold, are encoded."""
    text = _FORBIDDEN.sub(" ", text).strip()
    words = text.split()
    if text.isascii() and text.isprintable() and len(max(words, key=len, default="")) <= MAX_WORD:
        return text if column + len(text) <= _MAX_LINE else fold_words(words, column=column)
    return FOLD.join(_encoded_words(text))


def fold_words(words: Iterable[str], *, column: int, space: str = " ") -> str:
    """The words joined by spaces, with line breaks before words that exceed the margin."""
    out: list[str] = []
    for word in words:
        if out and column + len(space) + len(word) > _MAX_LINE:
            out.append(FOLD)
            column = 1
        elif out:
            out.append(space)
            column += len(space)
        out.append(word)
        column += len(word)
    return "".join(out)


def _encoded_words(text: str) -> list[str]:
    """RFC 2047 §4, in the shorter of both encodings; §5: no character is split between two words."""
    data = text.encode("utf-8")
    if len(data) <= _B_CHUNK:
        return [f"=?utf-8?b?{base64.b64encode(data).decode('ascii')}?="]
    characters = [character.encode("utf-8") for character in text]
    quoted = ["_" if c == b" " else c.decode() if c in _Q_SAFE else "".join(f"={x:02X}" for x in c) for c in characters]
    if sum(map(len, quoted)) <= sum(map(len, characters)) * 4 / 3:
        return [f"=?utf-8?q?{''.join(chunk)}?=" for chunk in _chunks(quoted, _Q_CHUNK)]
    chunks = [b"".join(chunk) for chunk in _chunks(characters, _B_CHUNK)]
    return [f"=?utf-8?b?{base64.b64encode(chunk).decode('ascii')}?=" for chunk in chunks]


def _chunks(parts: Sequence[_Part], room: int) -> Iterator[Sequence[_Part]]:
    """Parts in order, each chunk at most `room` long."""
    start, used = 0, 0
    for end, part in enumerate(parts):
        if used + len(part) > room:
            yield parts[start:end]
            start, used = end, 0
        used += len(part)
    yield parts[start:]


def format_mailbox(name: str, address: Address) -> str:
    """RFC 5322 §3.4: `name <address>`, the name quoted or encoded if necessary."""
    name = _FORBIDDEN.sub(" ", name).strip()
    if not name:
        return str(address)
    if "=?" in name or len(name) > _MAX_NAME or not _PRINTABLE.fullmatch(name):
        words = _encoded_words(name)
        return f"{FOLD.join(words)}{FOLD if len(words) > 1 else ' '}<{address}>"
    if not _PHRASE.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    # White space within a quoted string may be folded too (RFC 5322 §3.2.4), but no line may be only white space.
    words = name.split(" ") if "  " not in name else [name]
    return fold_words([*words, f"<{address}>"], column=len("From: "))


def format_mailboxes(mailboxes: Sequence[tuple[str, Address]]) -> str:
    """One per line."""
    return f",{FOLD}".join(format_mailbox(name, address) for name, address in mailboxes)


def format_url(url: str) -> str:
    """RFC 2369 §2: in angle brackets. Readers ignore white space inside, so a long URL can be folded."""
    return "<" + FOLD.join(url[i : i + 900] for i in range(0, len(url), 900)) + ">"


def format_date(at: datetime) -> str:
    """RFC 5322 §3.3."""
    return _format_second(at.replace(microsecond=0))


_format_second = lru_cache(maxsize=4)(format_datetime)


class Header(NamedTuple):
    """A field on the wire, with CRLF, and canonical for DKIM, without (RFC 6376 §3.4.2); `name` in lower case."""

    name: str
    wire: bytes
    canonical: bytes


def make_header(name: str, value: str) -> Header:
    """`value` is the result of a function above."""
    data = value.encode("utf-8", "replace")
    lower = name.lower()
    wire = f"{name}: ".encode("ascii") + data + b"\r\n" if data else f"{name}:\r\n".encode("ascii")
    return Header(lower, wire, f"{lower}:".encode("ascii") + relax_value(data))


def relax_value(value: bytes) -> bytes:
    """RFC 6376 §3.4.2: unfolded, runs of white space reduced to a space, none at the ends."""
    if b"\r\n" in value or b"  " in value or b"\t" in value:
        value = _SPACES.sub(b" ", value.replace(b"\r\n", b""))
    return value.strip()
