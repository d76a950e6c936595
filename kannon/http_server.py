"""An HTTP listener in our own event loop, for whoever has an ASGI application: hypercorn, with our limits.

In: `host:port` and an application. Out: a server that is started when it accepts connections, and that returns, once
told to stop, when the last open request is answered. Refuses an address that is taken (AddressInUse).
"""

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskStatus
from hypercorn.asyncio import serve as serve_hypercorn
from hypercorn.config import Config as ServerConfig

from kannon.config import split_listen
from kannon.errors import AddressInUse

_BACKLOG = 1024
_GRACE_SECONDS = 10.0  # for open requests at the stop
_IDLE_SECONDS = 15.0

Application = Callable[[Any, Any, Any], Awaitable[None]]


def listen_on(key: str, listen: str) -> socket.socket:
    """`key` is the configuration's, for the error. Raises AddressInUse."""
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
    application: Application, listener: socket.socket, stop: anyio.Event, *, task_status: TaskStatus[None]
) -> None:
    """Started when connections are accepted; returns when the last one is served. Closes the listener."""
    started = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
            started.set()

    config = ServerConfig()
    config.bind = [f"fd://{listener.detach()}"]  # bound by us, so that a taken address is one clear line
    config.errorlog = None
    config.include_server_header = False
    config.graceful_timeout = _GRACE_SECONDS
    config.keep_alive_timeout = _IDLE_SECONDS
    config.keep_alive_max_requests = 1_000_000  # a proxy keeps its connections
    config.read_timeout = int(_IDLE_SECONDS)
    config.h11_max_incomplete_size = 64 * 1024  # a URL that is far too long is still answered by the application
    async with anyio.create_task_group() as group:
        group.start_soon(partial(serve_hypercorn, app, config, shutdown_trigger=stop.wait))
        await started.wait()
        task_status.started()
