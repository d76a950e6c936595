"""An HTTPS server for MTA-STS policies and TLS reports on loopback.

In: what to serve, as a response in bytes or a function of the connection. Out: the requests that it saw.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.patience import PATIENCE_SECONDS

Serve = Callable[[asyncio.StreamWriter], Awaitable[None]]


def a_policy(mode: str = "enforce", *mx: str, max_age: int = 604_800) -> bytes:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {each}" for each in mx), f"max_age: {max_age}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def served(body: bytes, *, status: str = "200 OK", content_type: str = "text/plain", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@dataclass
class PolicyHost:
    """`response` may be changed at any time."""

    tls: ssl.SSLContext
    response: bytes | Serve
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    head += await reader.readexactly(int(line.partition(b":")[2]))
            self.requests.append(head)
            if isinstance(self.response, bytes):
                writer.write(self.response)
                await writer.drain()
            else:
                await self.response(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()


@asynccontextmanager
async def serving_https(host: PolicyHost, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await host.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(
        serve, address, port, ssl=host.tls, ssl_handshake_timeout=PATIENCE_SECONDS, limit=64 << 20
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))
        await server.wait_closed()
