"""The socket between a process and a further one that it has started: whole messages, both ways.

In: values that pickle. Out: the same at the other end. Both ends are the same program under the same user, and the
socket has no name, so each trusts what it reads. An end that is gone is the end of the stream; a message to it is lost.
"""

import asyncio
import contextlib
import pickle
import socket
import struct
from typing import Any, Final, Self

_LENGTH: Final = struct.Struct("!I")


class Link:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """Owns the socket from here on."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Does not wait."""
        if not self._writer.is_closing():
            self._writer.write(pack(message))

    async def receive(self) -> Any:
        """None at the end of the stream."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - see above
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def flush(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def close(self) -> None:
        """After what is written, if the other end still reads."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def pack(message: object) -> bytes:
    data = pickle.dumps(message)
    return _LENGTH.pack(len(data)) + data


def receive_blocking(end: socket.socket) -> Any:
    """The first message, before an event loop runs. None at the end of the stream."""
    head = end.recv(_LENGTH.size, socket.MSG_WAITALL)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = end.recv(length, socket.MSG_WAITALL)
    return pickle.loads(data) if len(data) == length else None  # noqa: S301 - see above
