"""The API's listener: connections accepted within their limits, watched, and drained when the process stops.

In: an address, the methods of gRPC and the application of HTTP. Out: one connection for each client (first_bytes.py,
then grpc/ or http/).
Unlike grpclib's own Server it limits connections in all and per peer, also during the TLS handshake, closes those that
idle, and on `drain` lets running calls complete while new ones get UNAVAILABLE.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping

import anyio
import structlog
from anyio.abc import TaskGroup
from grpclib.const import Handler

from kannon.components.api.first_bytes import FirstBytes
from kannon.components.api.shared import HttpApplication, Shared

_BACKLOG = 1024
_ACCEPT_AT_ONCE = 16
_HANDSHAKE_SECONDS = 10.0  # TLS: a few round trips
_RETRY_SECONDS = 1.0  # accepting again, when the process has no file descriptor left
_WATCH_SECONDS = 5.0
_CANCEL_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Server:
    """`listen`, then `serve` in a task of the caller's, at the end `drain` and `close`."""

    def __init__(self, methods: Mapping[str, Handler], application: HttpApplication, *, max_message_bytes: int) -> None:
        self._shared = Shared(dict(methods), application, max_message_bytes)
        self._connections = self._shared.connections
        self._tls: ssl.SSLContext | None = None
        self._listeners: list[socket.socket] = []

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> list[tuple[str, int]]:
        """Returns the addresses it listens on. Raises OSError."""
        self._tls = tls
        addresses = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in addresses):
                listener = socket.create_server(address, family=family, backlog=_BACKLOG)
                listener.setblocking(False)
                self._listeners.append(listener)
        except OSError:
            self._close_listeners()
            raise
        return [listener.getsockname()[:2] for listener in self._listeners]

    async def serve(self) -> None:
        """Accepts connections until `drain`, and closes idle ones, for ever."""
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as group:
            for listener in self._listeners:
                loop.add_reader(listener, self._accept, listener, group)
            try:
                await self._watch()
            finally:
                self._close_listeners()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for connection in self._connections:
                connection.close_if_idle(loop.time())

    def _accept(self, listener: socket.socket, group: TaskGroup) -> None:
        """Called when a client waits. A few at a time: a full backlog must not keep the event loop to itself."""
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                log.warning("cannot accept connections; retrying", reason=error.strerror)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(_RETRY_SECONDS, self._accept_again, listener, group)
                return
            accepted.setblocking(False)
            peer = str(address[0])
            if self._connections.admit(peer):
                first = FirstBytes(self._shared, accepted, peer, group)
                self._connections.add(first)
                group.start_soon(self._open, first, accepted)
            else:
                accepted.close()

    def _accept_again(self, listener: socket.socket, group: TaskGroup) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, group)

    async def _open(self, first: FirstBytes, accepted: socket.socket) -> None:
        """The TLS handshake, where there is one; from then on the connection lives by its transport."""
        timeout = None if self._tls is None else _HANDSHAKE_SECONDS
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: first, accepted, ssl=self._tls, ssl_handshake_timeout=timeout
            )
        except OSError as error:
            self._connections.remove(first)
            accepted.close()
            log.info("TLS handshake failed: connection is closed", peer=first.peer, reason=str(error))

    async def drain(self) -> None:
        """No new connection, no new call; returns when the running ones are answered. Streaming calls (health watches,
        reflection), which have no end of their own, are cancelled."""
        self._shared.draining = True
        self._close_listeners()
        for connection in self._connections:
            connection.cancel_streaming()
        while calls := self._connections.calls():
            await asyncio.wait(calls)
        for connection in self._connections:
            connection.close_gracefully()

    async def close(self) -> None:
        """At once: cancels what still runs. Bounded."""
        self._close_listeners()
        calls = self._connections.calls()
        for task in calls:
            task.cancel()
        if calls:
            await asyncio.wait(calls, timeout=_CANCEL_SECONDS)
        for connection in self._connections:
            connection.close_gracefully()
        # Lets the transports run their connection_lost before the loop goes away.
        await asyncio.sleep(0)

    def _close_listeners(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
