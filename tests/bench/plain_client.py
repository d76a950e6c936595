"""A gRPC client that costs almost nothing: it encodes its requests before and sends them over one connection.

In: an address; a path, metadata and a message of one frame (16 KiB at most). It checks that each answer is OK. A
measurement on the same machine is then mostly of the server.
"""

import asyncio
import struct
from collections.abc import Sequence
from typing import NamedTuple, Self

import hpack

# RFC 9113 §6: types and flags.
_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_LARGEST_WINDOW = 2**31 - 1 - 65535


class Call(NamedTuple):
    """A request, ready for the wire."""

    headers: bytes
    body: bytes


def prepare(host: str, path: str, metadata: Sequence[tuple[str, str]], message: bytes) -> Call:
    pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", host)]
    rest = [("te", "trailers"), ("content-type", "application/grpc"), *metadata]
    headers = b"".join(_literal(name) + _literal(value, first=False) for name, value in [*pseudo, *rest])
    return Call(headers, struct.pack(">BI", 0, len(message)) + message)


class PlainClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, usual: Call) -> None:
        self._reader = reader
        self._writer = writer
        self._usual = usual
        self._stream = 1
        self._decoder = hpack.Decoder()

    @classmethod
    async def open(
        cls, host: str, port: int, path: str = "", metadata: Sequence[tuple[str, str]] = (), message: bytes = b""
    ) -> Self:
        """The last three make the request of a `call` that brings none."""
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        writer.write(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW)))
        return cls(reader, writer, prepare(host, path, metadata, message))

    async def call(self, request: Call | None = None) -> None:
        """Raises RuntimeError for any answer but OK."""
        headers, body = request or self._usual
        stream, self._stream = self._stream, self._stream + 2
        self._writer.write(_frame(_HEADERS, _END_HEADERS, stream, headers) + _frame(_DATA, _END_STREAM, stream, body))
        answer: dict[str, str] = {}
        ended = False
        while not ended:
            kind, flags, payload = await self._read()
            if kind == _HEADERS:
                answer.update((str(name), str(value)) for name, value in self._decoder.decode(payload))
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                self._writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
            elif kind == _GOAWAY:
                raise RuntimeError("the server has sent GOAWAY")
            ended = kind in (_HEADERS, _DATA) and bool(flags & _END_STREAM)
        if answer.get("grpc-status") != "0":
            raise RuntimeError(f"{answer}")

    async def _read(self) -> tuple[int, int, bytes]:
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3]))
        return head[3], head[4], payload

    def close(self) -> None:
        self._writer.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _literal(text: str, *, first: bool = True) -> bytes:
    """RFC 7541 §6.2.2: a literal without indexing, name and value; none longer than 126."""
    data = text.encode()
    if len(data) > 126:
        raise ValueError("too long for one byte of length")
    return (b"\x00" if first else b"") + bytes((len(data),)) + data
