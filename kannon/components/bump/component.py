"""The bump component: one HTTP listener, the keys it reads tokens with, and the outbox its events leave by.

In: HTTP requests, from readers or through a trusted proxy. Out: answers, and opened and clicked events on the bus.
Refuses to start on an address that is taken (AddressInUse). At the stop open requests are answered and what waits in
the outbox is published.
"""

import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import anyio
import structlog
from anyio.abc import TaskStatus
from hypercorn.asyncio import serve
from hypercorn.config import Config as ServerConfig

from kannon.components.bump.app import BumpApp
from kannon.components.bump.keys import KeyLookup, VerificationKeys
from kannon.components.bump.outbox import Bus, Outbox
from kannon.config import split_listen
from kannon.errors import AddressInUse

log = structlog.get_logger()

_BACKLOG = 1024
_GRACE_SECONDS = 10.0  # for open requests at the stop; each waits at most a second for the bus
_IDLE_SECONDS = 15.0


class Bump:
    name = "bump"

    def __init__(
        self,
        bus: Bus,
        look_up_key: KeyLookup,
        *,
        listen: str,
        base_url: str = "",
        trusted_proxies: Sequence[str] = (),
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._listen = listen
        self._outbox = Outbox(bus)
        self._app = BumpApp(
            VerificationKeys(look_up_key, clock),
            self._outbox,
            trusted=[ip_network(network, strict=False) for network in trusted_proxies],
            base_path=urlsplit(base_url).path.rstrip("/"),
            clock=clock,
            new_id=new_id,
        )
        self.port = 0
        self.addresses: list[tuple[str, int]] = []
        """Where it listens, once started."""

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serves until `stop`. Raises AddressInUse."""
        listener = _bind(self._listen)
        self.addresses = [listener.getsockname()[:2]]
        self.port = self.addresses[0][1]
        async with anyio.create_task_group() as group:
            group.start_soon(self._outbox.run)
            await group.start(self._serve, listener, stop)
            log.info("serving HTTP", port=self.port)
            task_status.started()

    async def _serve(self, listener: socket.socket, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        """Started when connections are accepted; returns when the last one is served."""
        started = anyio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                await self._app(scope, receive, send)
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
        config.h11_max_incomplete_size = 64 * 1024  # a URL that is far too long is still answered 404 by us
        async with anyio.create_task_group() as group:
            group.start_soon(partial(serve, app, config, shutdown_trigger=stop.wait))
            await started.wait()
            task_status.started()
        self._outbox.close()


def _bind(listen: str) -> socket.socket:
    host, port = split_listen(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressInUse(f"bump.listen: {listen}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressInUse(f"bump.listen: {listen}: {error.strerror or error}") from None
    return listener
