"""The body of a request as it arrives: bounded before it is read.

In: DATA frames of one HTTP/2 stream. Out: exactly the bytes asked for. Refuses a message longer than the limit when its
five-byte prefix is read, before any of it is buffered, and one that ends or stalls half way. Large messages wait for a
permit: the server reads a few of them at once. BoundedBuffer replaces grpclib's own Buffer, which has no limit, for
every method.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import cast

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import Buffer

from kannon.components.api.inflate import inflate
from kannon.errors import InvalidArgument, LimitExceeded

STALL_SECONDS = 60.0
"""Longest silence inside a message that has begun."""
LARGE_BYTES = 2 << 20


_PREFIX = struct.Struct(">BI")  # gRPC over HTTP/2, "Length-Prefixed-Message": compressed, length
_INFLATE_HERE_BYTES = 4 << 10  # a hundredfold of it takes 1 ms


class BoundedBuffer(Buffer):
    """Flow control bounds what is held: a frame is acknowledged when the message being read takes it. `large_bodies`
    gives the permits. `close` when the call has ended, and not before: its message is in memory until then."""

    def __init__(
        self,
        acknowledge: Callable[[int], None],
        limit: int,
        large_bodies: asyncio.Semaphore,
        *,
        gzipped: bool = False,
    ) -> None:
        """`gzipped`: the call's messages may be."""
        super().__init__(acknowledge)
        self._gzipped = gzipped
        self._inflated: bytes | None = None
        self._large_bodies = large_bodies
        self._has_permit = False
        self._acknowledge = acknowledge
        self._limit = limit
        self._arrived = asyncio.Event()
        self._ended = False
        self._frames: list[tuple[bytes, int]] = []
        self._taken = bytearray()

    def add(self, data: bytes, ack_size: int) -> None:
        self._frames.append((data, ack_size))
        self._arrived.set()

    def eof(self) -> None:
        self._ended = True
        self._arrived.set()

    async def read(self, size: int) -> bytes:
        """Raises GRPCError; `b""` at a clean end of the stream. grpclib reads the prefix of a message, then as many
        bytes as it announces. Of a gzipped message it gets both as if the message had come without gzip."""
        if self._inflated is not None:
            message, self._inflated = self._inflated, None
            return message
        data = await self._read(size)
        if self._gzipped and size == _PREFIX.size and len(data) == size and data[0] == 1:
            self._inflated = await self._inflate(await self._read(_PREFIX.unpack(data)[1]))
            return _PREFIX.pack(0, len(self._inflated))
        return data

    async def _inflate(self, message: bytes) -> bytes:
        try:
            if len(message) < _INFLATE_HERE_BYTES:
                return inflate(message, self._limit)
            return await asyncio.to_thread(inflate, message, self._limit)
        except LimitExceeded as error:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, str(error)) from None
        except InvalidArgument as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None

    async def _read(self, size: int) -> bytes:
        if size > self._limit:
            text = f"the message has {size} bytes, more than the {self._limit} allowed"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, text)
        if size > LARGE_BYTES and not self._has_permit:
            await self._large_bodies.acquire()
            self._has_permit = True
        while len(self._taken) < size:
            if self._frames:
                self._take_frames()
            elif self._ended:
                break
            else:
                await self._wait()
        if len(self._taken) < size and self._taken:
            raise GRPCError(Status.INVALID_ARGUMENT, "the message ends before its announced length")
        if len(self._taken) == size:  # nothing after it, as is usual: no copy of a large message
            whole, self._taken = self._taken, bytearray()
            return cast(bytes, whole)
        data = bytes(memoryview(self._taken)[:size])
        del self._taken[:size]
        return data

    async def _wait(self) -> None:
        self._arrived.clear()
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._arrived.wait()
        except TimeoutError:
            raise GRPCError(Status.DEADLINE_EXCEEDED, "the message did not arrive in time") from None

    def _take_frames(self) -> None:
        frames, self._frames = self._frames, []
        for data, ack_size in frames:
            self._taken += data
            self._acknowledge(ack_size)

    def close(self) -> None:
        if self._has_permit:
            self._has_permit = False
            self._large_bodies.release()

    def unacked_size(self) -> int:
        """The size of the frames that were not read; their credit goes back to the connection when the stream ends."""
        frames, self._frames = self._frames, []
        return sum(ack_size for _, ack_size in frames)
