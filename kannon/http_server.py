"""An HTTP server for an ASGI application: hypercorn's connections with limits, in the running event loop.

In: `host:port` and an application. Out: a server that is started when it accepts connections; after the stop it returns
when the last open request is answered. A taken address raises AddressInUse; the number of connections is limited.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config as ServerConfig
from hypercorn.events import Event, Updated

from kannon.config import split_listen
from kannon.errors import AddressInUse

log = structlog.get_logger()

_BACKLOG = 1024
_GRACE_SECONDS = 10.0  # for open requests at the stop
_IDLE_SECONDS = 15.0
_HANDSHAKE_SECONDS = 10.0
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

Application = Callable[[Any, Any, Any], Awaitable[None]]


def listen_on(key: str, listen: str) -> socket.socket:
    """`key` is the key of the configuration, for the error. Raises AddressInUse."""
    host, port = split_listen(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressInUse.because(key, listen, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressInUse.because(key, listen, error) from None
    return listener


async def serve(
    application: Application,
    listener: socket.socket,
    stop: anyio.Event,
    *,
    max_connections: int,
    tls: tuple[socket.socket, ssl.SSLContext] | None = None,
    task_status: TaskStatus[None],
) -> None:
    """Started when it accepts connections; returns when the last one is served. Closes the listener.

    At `max_connections` a new connection replaces the one that is idle longest. Where each has an open request, the new
    connection gets 503 and is closed. `tls`: a second listener, for HTTPS; the limit holds for both together.
    """
    config = ServerConfig()
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_SECONDS
    config.keep_alive_max_requests = 1_000_000  # a proxy keeps its connections
    config.read_timeout = int(_IDLE_SECONDS)
    config.h11_max_incomplete_size = 64 * 1024  # the application answers overlong URLs
    async with anyio.create_task_group() as group:
        connections = _Connections(close_after_ambiguous(application), config, max_connections, group)
        servers = [await asyncio.start_server(connections.accept, sock=listener, backlog=_BACKLOG)]
        if tls is not None:
            servers.append(
                await asyncio.start_server(
                    connections.accept,
                    sock=tls[0],
                    ssl=tls[1],
                    ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                    backlog=_BACKLOG,
                )
            )
        try:
            task_status.started()
            await stop.wait()
        finally:
            for server in servers:
                server.close()
        await connections.finish()
        group.cancel_scope.cancel()


def close_after_ambiguous(application: Application) -> Application:
    """Closes the connection after the answer to a request with both Content-Length and Transfer-Encoding."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        async def send_and_close(event: dict[str, Any]) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event["headers"], (b"connection", b"close")]}
            await send(event)

        # RFC 9112 §6.1: a proxy may have taken the other length; what follows could be part of this request to it.
        ambiguous = {name for name, _ in scope.get("headers", ())} >= {b"content-length", b"transfer-encoding"}
        await application(scope, receive, send_and_close if ambiguous else send)

    return run


class _Connection(TCPServer):
    """hypercorn's connection, which reports the begin of a request and the end of the last one."""

    on_idle: Callable[["_Connection", bool], None]

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self.on_idle(self, event.idle)
        await super().protocol_send(event)


class _Connections:
    def __init__(self, application: Application, config: ServerConfig, max_connections: int, group: TaskGroup) -> None:
        self._app = ASGIWrapper(application)
        self._config = config
        self._max_connections = max_connections
        self._group = group
        self._context = WorkerContext(None)
        self._idle: dict[_Connection, None] = {}  # idle longest first
        self._busy: set[_Connection] = set()
        self._changed = anyio.Event()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._idle) + len(self._busy) >= self._max_connections:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                writer.write(_FULL)
                writer.close()
                return
            del self._idle[oldest]
            oldest.writer.transport.abort()
        connection = _Connection(self._app, asyncio.get_running_loop(), self._config, self._context, {}, reader, writer)
        connection.on_idle = self._on_idle
        self._idle[connection] = None
        self._group.start_soon(self._serve, connection)

    async def _serve(self, connection: _Connection) -> None:
        try:
            await connection.run()
        except Exception:
            log.exception("HTTP connection failed")
        finally:
            self._idle.pop(connection, None)
            self._busy.discard(connection)
            self._changed.set()

    def _on_idle(self, connection: _Connection, idle: bool) -> None:
        if connection not in self._idle and connection not in self._busy:
            return  # it was replaced
        self._idle.pop(connection, None)
        self._busy.discard(connection)
        if idle:
            self._idle[connection] = None
        else:
            self._busy.add(connection)

    async def finish(self) -> None:
        """Ends idle connections at once and waits for open requests."""
        await self._context.terminated.set()
        with anyio.move_on_after(_GRACE_SECONDS):
            while self._idle or self._busy:
                self._changed = anyio.Event()
                await self._changed.wait()
