"""Messages from and to bytes, in both forms of protobuf: binary and JSON. Large ones in a thread.

In: the bytes of a request, possibly gzipped. Out: the message; and the bytes of a response. A call of the binary parser
holds the interpreter lock until it returns, in any thread; pieces of whole fields let the event loop run between calls.
Malformed data goes to the parser, whose error is the answer.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import cast

from google.protobuf.message import Message

from kannon.components.api.inflate import inflate
from kannon.components.api.json_form import parse_json, to_json

PIECE_BYTES = 256 << 10
"""About 1 ms of parsing. Smaller messages are parsed in the event loop."""
JSON_BYTES = 16 << 10
"""The same, in JSON."""
_MAX_SHIFT = 63  # ten bytes
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class Form(Enum):
    """The two forms of a protobuf message."""

    PROTO = "proto"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Unparsed:
    """The bytes of a request. `gzipped` ones inflate to at most `max_bytes`."""

    data: bytes | bytearray
    message_type: type[Message]
    form: Form = Form.PROTO
    gzipped: bool = False
    max_bytes: int = 0

    async def parse(self) -> Message:
        """Raises DecodeError, InvalidArgument, LimitExceeded."""
        if self.gzipped or len(self.data) > (JSON_BYTES if self.form is Form.JSON else PIECE_BYTES):
            return await asyncio.to_thread(self.parse_here)
        return self.parse_here()

    def parse_here(self) -> Message:
        data = inflate(self.data, self.max_bytes) if self.gzipped else self.data
        if self.form is Form.JSON:
            return parse_json(data, self.message_type)
        message = self.message_type()
        for piece in pieces(data):
            message.MergeFromString(cast(bytes, piece))
        return message


async def to_bytes(message: Message, form: Form) -> bytes:
    if form is Form.PROTO:
        return message.SerializeToString()
    if message.ByteSize() > JSON_BYTES:
        return await asyncio.to_thread(to_json, message)
    return to_json(message)


def pieces(data: bytes | bytearray) -> Iterator[bytes | bytearray]:
    """Whole top-level fields of about PIECE_BYTES together. Merged in order they give the message (protobuf's rules
    "last one wins" and concatenation)."""
    start = end = 0
    while end < len(data):
        try:
            end = _end_of_field(data, end)
        except (IndexError, ValueError):
            break  # the parser reports the error
        if end - start >= PIECE_BYTES:
            yield data[start:end]
            start = end
    if start < len(data):
        yield data[start:]


def _end_of_field(data: bytes | bytearray, at: int) -> int:
    """Raises IndexError, ValueError."""
    tag, at = _read_varint(data, at)
    wire_type = tag & 7
    if wire_type == _LENGTH:
        length, at = _read_varint(data, at)
        return at + length
    if wire_type == _VARINT:
        return _read_varint(data, at)[1]
    if wire_type == _FIXED64:
        return at + 8
    if wire_type == _FIXED32:
        return at + 4
    raise ValueError(wire_type)


def _read_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        if shift > _MAX_SHIFT:
            raise ValueError(shift)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, at
