"""A low-level HTTP/1.1 client: any method, any target, any header; each request has its own connection."""

from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from tests.support.patience import patience


@dataclass(frozen=True)
class Response:
    """Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def request(
    port: int, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Response:
    lines = [f"{method} {target} HTTP/1.1", "Host: stats.example", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {"User-Agent": "Mozilla/5.0 (a browser)"}).items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    with patience():
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + body)
            received = b""
            try:
                while True:
                    received += await stream.receive()
            except anyio.EndOfStream:
                pass
    return parse_response(received)


def parse_response(received: bytes) -> Response:
    head, _, body = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return Response(int(status.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)
