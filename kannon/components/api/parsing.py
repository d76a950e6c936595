"""Parses large requests outside the event loop's thread, a piece at a time.

In: the bytes of a message. Out: the message. The parser holds the interpreter for as long as one call takes, in any
thread; hence pieces of whole fields, between which the event loop has its turn. The parser alone judges what is not of
the expected form.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from grpclib.encoding.proto import ProtoCodec

PIECE_BYTES = 256 << 10
"""About 1 ms of parsing; smaller messages are parsed where they arrive."""
_MAX_SHIFT = 63  # ten bytes
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A large message as it came."""

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
    """Whole top-level fields, about PIECE_BYTES together: merged one after the other they are the message (protobuf's
    "Last One Wins" and concatenation rules)."""
    start = end = 0
    while end < len(data):
        try:
            end = _end_of_field(data, end)
        except (IndexError, ValueError):
            break  # the parser says what is wrong with it
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
