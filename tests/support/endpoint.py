"""A webhook endpoint of a customer: a scripted HTTP or HTTPS server on loopback.

In: a script, the path of a request → how it is answered. Out: `requests`, every one in order, and `events`, what the
answered ones carried, verified with the receiver's own library.
"""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from standardwebhooks import Webhook

from tests.support.patience import patience

OK = "200"
EARLY, DRIP, DRIP_BODY, HANG, GIGABYTE, GARBAGE = "early", "drip", "drip-body", "hang", "gigabyte", "garbage"
"""Beside statuses, with more header fields after a space: "429 retry-after: 7"."""


@dataclass(frozen=True)
class Received:
    headers: Mapping[str, str]
    body: bytes
    answer: str

    @property
    def events(self) -> list[dict[str, Any]]:
        found = json.loads(self.body)
        return list(found["data"]) if found["type"] == "events" else [found]


@dataclass
class ScriptedEndpoint:
    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"
    script: Callable[[int], str] = lambda number: OK
    """By the number of the request, from 0."""
    secret: str = ""
    """Requests that it does not sign are answered with 401."""
    delay: float = 0.0
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    _written: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/hook"

    def received(self) -> Counter[str]:
        """How often each event id came in a request that was answered with 2xx."""
        return Counter(event["id"] for r in self.requests if r.answer.startswith("2") for event in r.events)

    def types(self) -> Counter[str]:
        """Of the events that came at least once."""
        found = {e["id"]: e["type"] for r in self.requests if r.answer.startswith("2") for e in r.events}
        return Counter(found.values())

    async def wait(self, count: int) -> None:
        """Until so many different events came."""
        with patience():
            while len(self.received()) < count:
                await anyio.sleep(0.005)

    async def wait_requests(self, count: int) -> None:
        with patience():
            while len(self.requests) < count:
                await anyio.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if not await self._answer(headers, body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(self, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        answer = self.script(len(self.requests))
        if self.secret:
            try:
                Webhook(self.secret).verify(body, headers)
            except Exception:
                answer = "401"
        self.requests.append(Received(headers, body, answer))
        await asyncio.sleep(self.delay)
        match answer:
            case "early":
                return False
            case "hang":
                await asyncio.sleep(3600)
            case "garbage":
                writer.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
                return False
            case "drip":
                for octet in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-slow: " + b"y" * 10_000:
                    writer.write(bytes([octet]))
                    await writer.drain()
                    await asyncio.sleep(0.2)
            case "drip-body":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
                while True:
                    writer.write(b"y")
                    await writer.drain()
                    await asyncio.sleep(0.2)
            case "gigabyte":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
                for _ in range(16384):
                    writer.write(b"g" * 65536)
                    await writer.drain()
                    self._written += 65536
            case _:
                status, _, more = answer.partition(" ")
                text = b"" if status == "204" else f"said {status}".encode()
                fields = f"{more}\r\n" if more else ""
                length = "" if status == "204" else f"content-length: {len(text)}\r\n"
                writer.write(f"HTTP/1.1 {status} Something\r\n{fields}{length}\r\n".encode() + text)
                await writer.drain()
        return True


@asynccontextmanager
async def endpoint(
    script: Callable[[int], str] = lambda number: OK,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    secret: str = "",
    port: int = 0,
) -> AsyncIterator[ScriptedEndpoint]:
    """`host`: the name in its URL; it listens on 127.0.0.1."""
    scripted = ScriptedEndpoint(host=host, scheme="https" if tls else "http", script=script, secret=secret)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(scripted.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
