"""A low-level HTTP/2 client: it sends exactly the frames that a test asks for, valid or not, and returns the answer.

In: an address. Out: an `Answer` per stream. It checks and repairs nothing.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

Headers = Sequence[tuple[str | bytes, str | bytes]]


@dataclass
class Answer:
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False
    reset: bool = False

    @property
    def status(self) -> int | None:
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None

    @property
    def message(self) -> str:
        return unquote(self.headers.get("grpc-message", ""))


def grpc_headers(path: str, *extra: tuple[str | bytes, str | bytes]) -> Headers:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *extra,
    ]


def framed(message: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """gRPC's length-prefixed message; `length` may lie."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


def frame(kind: int, payload: bytes, *, stream: int = 0, flags: int = 0) -> bytes:
    """RFC 9113 §4.1: a frame as it is on the wire, allowed or not."""
    return struct.pack(">L", len(payload))[1:] + struct.pack(">BBL", kind, flags, stream) + payload


class H2Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.h2 = H2Connection(
            H2Configuration(
                validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1"
            )
        )
        self.answers: dict[int, Answer] = {}
        self.goaway: int | None = None
        self.pings = 0
        self.closed = False
        self.h2.initiate_connection()

    async def open(self, headers: Headers, *, end: bool = False) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.h2.send_headers(stream, headers, end_stream=end)
        await self.flush()
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Small data only: within one frame and the window."""
        self.h2.send_data(stream, data, end_stream=end)
        await self.flush()

    async def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, stream: int) -> Answer:
        """Reads until the stream has ended or been reset, or the connection is gone."""
        answer = self.answers[stream]
        while not (answer.ended or answer.reset or self.closed):
            await self.read()
        return answer

    async def until_closed(self) -> None:
        while not self.closed:
            await self.read()

    async def read(self) -> None:
        try:
            data = await self._reader.read(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            self._take(event)
        await self.flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.goaway = event.error_code
        if isinstance(event, PingAckReceived):
            self.pings += 1
        stream_id = getattr(event, "stream_id", None)
        answer = self.answers.get(stream_id) if stream_id is not None else None
        if answer is None:
            return
        if isinstance(event, ResponseReceived | TrailersReceived):
            answer.headers |= {str(name): str(value) for name, value in event.headers or ()}
        elif isinstance(event, DataReceived):
            answer.data += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            answer.ended = True
        elif isinstance(event, StreamReset):
            answer.reset = True


@asynccontextmanager
async def h2_client(host: str, port: int) -> AsyncIterator[H2Client]:
    reader, writer = await asyncio.open_connection(host, port)
    client = H2Client(reader, writer)
    await client.flush()
    try:
        yield client
    finally:
        writer.close()
