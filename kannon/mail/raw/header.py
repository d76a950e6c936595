"""The header of a message: its fields and their places, byte for byte.

In: bytes with CRLF line ends only. Out: fields in order, and the body. Raises ValueError for lines that are no field,
which mail servers read in different ways.
"""

import re
from typing import NamedTuple

MAX_BYTES = 256 << 10
MAX_FIELDS = 1000
_NAME = re.compile(rb"[!-9;-~]+")  # RFC 5322 §3.6.8


class Field(NamedTuple):
    """`name` in lower case; `raw` is the whole field with its CRLF, `value` what follows the colon, still folded."""

    name: str
    raw: bytes
    value: bytes


def split_header(message: bytes) -> tuple[bytes, bytes]:
    """The header with the CRLF of its last line, and the body without the empty line before it."""
    if message.startswith(b"\r\n"):
        return b"", message[2:]
    header, separator, body = message.partition(b"\r\n\r\n")
    return (header + b"\r\n", body) if separator else (message, b"")


def parse_fields(header: bytes) -> list[Field]:
    """Raises ValueError, whose text names the line."""
    if len(header) > MAX_BYTES:
        raise ValueError(f"has a header of {len(header)} bytes, more than the {MAX_BYTES} allowed")
    fields: list[list[bytes]] = []
    for number, line in enumerate(header.split(b"\r\n")[:-1], 1):
        if line[:1] in (b" ", b"\t"):
            # RFC 5322 §3.2.2: no line of only white space; some readers take it for the end of the header.
            if not fields or not line.strip():
                raise ValueError(f"has no header field in line {number}")
            fields[-1].append(line)
        elif _NAME.fullmatch(line.partition(b":")[0]) and b":" in line:
            fields.append([line])
        else:
            raise ValueError(f"has no header field in line {number}")
    if len(fields) > MAX_FIELDS:
        raise ValueError(f"has {len(fields)} header fields, more than the {MAX_FIELDS} allowed")
    return [_field(b"\r\n".join(lines) + b"\r\n") for lines in fields]


def _field(raw: bytes) -> Field:
    name, _, value = raw.partition(b":")
    return Field(name.decode("ascii").lower(), raw, value[:-2])


def unfold(value: bytes) -> str:
    """RFC 5322 §2.2.3: one line. Bytes that are not UTF-8 become replacement characters."""
    return value.replace(b"\r\n", b"").decode("utf-8", "replace").strip()
