"""Parses large requests in a thread, a piece at a time.

In: the bytes of a message. Out: the message. A call of the parser holds the interpreter lock until it returns, in any
thread; pieces of whole fields let the event loop run between calls. Malformed data goes to the parser, whose error is
the answer.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from grpclib.encoding.proto import ProtoCodec

PIECE_BYTES = 256 << 10
"""About 1 ms of parsing. Smaller messages are parsed in the event loop."""
_MAX_SHIFT = 63  # ten bytes
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Unparsed:
    """The bytes of a large message."""

    data: bytes
    message_type: type[Message]

    async def parse(self) -> Message:
        """Raises DecodeError."""
        return await asyncio.to_thread(self._parse)

    def _parse(self) -> Message:
        message = self.message_type()
        for piece in pieces(self.data):
            message.MergeFromString(piece)
        return message


class LateCodec(ProtoCodec):
    """Leaves large messages to `Unparsed.parse`."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        if len(data) > PIECE_BYTES:
            return Unparsed(data, message_type)
        return super().decode(data, message_type)


def pieces(data: bytes) -> Iterator[bytes]:
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


def _end_of_field(data: bytes, at: int) -> int:
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


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
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
