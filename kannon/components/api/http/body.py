"""The body of an HTTP request under the limits of gRPC's: bounded before it is read.

In: ASGI's events of a request. Out: the same events, or ConnectError for a body that is too large, stalls, or whose
client is gone. Large bodies wait for a permit, which they share with gRPC's. An answer that is sent before the body was
read is followed by a pause in which the client can stop sending and read it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError

from kannon.components.api.connections import LINGER_SECONDS
from kannon.components.api.grpc.bodies import LARGE_BYTES, STALL_SECONDS
from kannon.components.api.shared import Shared

ENVELOPE_BYTES = 5
"""Connect's streams and gRPC-Web: flags and length before a message."""


class Body:
    def __init__(self, receive: Any, headers: Mapping[str, str], shared: Shared, *, enveloped: bool) -> None:
        """`enveloped`: the message has a prefix, which does not count."""
        self._receive = receive
        self._limit = shared.max_message_bytes + (ENVELOPE_BYTES if enveloped else 0)
        self._large_bodies = shared.large_bodies
        self._has_permit = False
        length = headers.get("content-length", "")
        self._announced = int(length) if length.isascii() and length.isdigit() else None
        self._size = 0
        self._ended = False

    async def receive(self) -> Any:
        """Raises ConnectError."""
        if self._ended:
            return await self._receive()
        if not self._size:
            await self._check(self._announced or 0)
        try:
            async with asyncio.timeout(STALL_SECONDS):
                event = await self._receive()
        except TimeoutError:
            raise ConnectError(Code.DEADLINE_EXCEEDED, "the message did not arrive in time") from None
        if event["type"] == "http.request":
            self._size += len(event.get("body", b""))
            await self._check(self._size)
        self._ended = event["type"] != "http.request" or not event.get("more_body", False)
        if self._ended and event["type"] == "http.request" and self._announced not in (None, self._size):
            text = f"content-length: the body has {self._size} bytes, not {self._announced}"
            raise ConnectError(Code.INVALID_ARGUMENT, text)
        return event

    async def _check(self, size: int) -> None:
        if size > self._limit:
            text = f"the message has {size} bytes, more than the {self._limit} allowed"
            raise ConnectError(Code.RESOURCE_EXHAUSTED, text)
        if size > LARGE_BYTES and not self._has_permit:
            await self._large_bodies.acquire()
            self._has_permit = True

    def close(self) -> None:
        if self._has_permit:
            self._has_permit = False
            self._large_bodies.release()

    def send_through(self, send: Any) -> Any:
        """`send`, which gives a response of one part its length, and lingers before the end of an early answer."""
        start: dict[str, Any] | None = None

        async def through(event: Any) -> None:
            nonlocal start
            if event["type"] == "http.response.start":
                start = event
                return
            if start is not None:
                named = any(name == b"content-length" for name, _ in start["headers"])
                if event["type"] == "http.response.body" and not event.get("more_body") and not named:
                    length = (b"content-length", b"%d" % len(event.get("body", b"")))
                    start = {**start, "headers": [*start["headers"], length]}
                await send(start)
                start = None
            if not event.get("more_body") and not self._ended:
                await send({**event, "more_body": True})
                await self._linger()
                event = {"type": event["type"], "body": b""}
            await send(event)

        return through

    async def _linger(self) -> None:
        """RFC 9112 §9.6: closing with unread bytes makes the kernel send a reset, which may overtake the answer."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._ended:
                    event = await self._receive()
                    self._ended = event["type"] != "http.request" or not event.get("more_body", False)
        except TimeoutError:
            pass
