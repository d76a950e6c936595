"""The bump component: an HTTP listener, the keys that verify tokens, and an outbox for events.

In: HTTP requests, direct or through a trusted proxy. Out: answers, and opened and clicked events on the bus. A taken
address prevents the start (AddressInUse). At the stop, open requests get their answer and the outbox is published.
"""

import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import ip_network
from urllib.parse import urlsplit

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.components.bump.app import BumpApp, Metrics
from kannon.components.bump.keys import KeyLookup, VerificationKeys
from kannon.components.bump.outbox import Bus, Outbox
from kannon.http_server import listen_on, serve
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()


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
        max_connections: int = 500,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._listen = listen
        self._max_connections = max_connections
        self._outbox = Outbox(bus)
        self._app = BumpApp(
            VerificationKeys(look_up_key, clock),
            self._outbox,
            trusted=[ip_network(network, strict=False) for network in trusted_proxies],
            base_path=urlsplit(base_url).path.rstrip("/"),
            clock=clock,
            new_id=new_id,
            metrics=metrics,
        )
        self.port = 0
        self.addresses: list[tuple[str, int]] = []
        """The addresses it listens on, once started."""

    def engagement(self) -> tuple[int, int]:
        """The number of events in the outbox, and of those dropped because the outbox was full."""
        return len(self._outbox), self._outbox.dropped

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serves until `stop`. Raises AddressInUse."""
        listener = listen_on("bump.listen", self._listen)
        self.addresses = [listener.getsockname()[:2]]
        self.port = self.addresses[0][1]
        async with anyio.create_task_group() as group:
            group.start_soon(self._outbox.run)
            await group.start(self._serve, listener, stop)
            log.info("bump is listening", port=self.port)
            task_status.started()

    async def _serve(self, listener: socket.socket, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        await serve(self._app, listener, stop, max_connections=self._max_connections, task_status=task_status)
        self._outbox.close()
