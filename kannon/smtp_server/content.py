"""Reads the content of a message after DATA, in bounded memory.

In: the peer's input. Out: the content without dot-stuffing, or the reply that refuses it.
Message smuggling: only CRLF.CRLF ends a message. A bare LF or CR is content, never a line end (RFC 5321 §2.3.8). smtp
relays nothing, and submission refuses such content, so no other server can read it in another way.
"""

import asyncio

from kannon.smtp_server.limits import Limits, Memory


class TooMuchData(Exception):
    """The peer keeps sending a message that is far beyond the limit."""


async def read_content(reader: asyncio.StreamReader, content: bytearray, limits: Limits, memory: Memory) -> str:
    """Fills `content`, whose length is taken from `memory`. Returns the reply that refuses the message, or "".

    A refused message is read to its end but not kept, because RFC 5321 §4.2.5 allows no reply before that. Raises
    TooMuchData.
    """
    size = 0
    refusal = ""
    at_line_start = True
    while True:
        try:
            piece = await reader.readuntil(b"\r\n")
            complete = True
        except asyncio.LimitOverrunError as overrun:
            piece = await reader.read(max(1, overrun.consumed))
            complete = False
            refusal = refusal or "500 5.5.2 Line too long"
        if at_line_start and piece == b".\r\n":
            return refusal
        if at_line_start and piece.startswith(b"."):
            piece = piece[1:]  # RFC 5321 §4.5.2
        at_line_start = complete
        size += len(piece)
        if size > limits.max_bytes:
            refusal = refusal or "552 5.3.4 Message too large"
        if size > 2 * limits.max_bytes + limits.max_line:
            raise TooMuchData
        if not refusal and not memory.acquire(len(piece)):
            refusal = "452 4.3.1 Too much mail at once, try again later"
        if not refusal:
            content += piece
        elif content:
            memory.release(len(content))
            content.clear()
