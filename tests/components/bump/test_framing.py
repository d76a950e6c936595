"""Requests whose length is stated twice."""

import anyio

from tests.components.bump.conftest import Start
from tests.support.patience import patience

CHUNKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def everything(port: int, sent: bytes) -> bytes:
    """What the server answers until it closes the connection."""
    received = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(sent)
        while True:
            try:
                received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return received


async def test_a_request_with_both_lengths_is_the_last_of_its_connection(start: Start) -> None:
    """RFC 9112 §6.1: a proxy in front may have seen another request behind it."""
    with patience():
        async with start() as running:
            received = await everything(running.port, CHUNKED + NEXT)
    assert received.count(b"HTTP/1.1 200") == 1
    assert b"connection: close\r\n" in received
