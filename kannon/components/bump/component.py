"""The bump component: listeners for HTTP and HTTPS, the keys that verify tokens, and an outbox for events.

In: HTTP requests, direct or through a trusted proxy. Out: answers, and opened and clicked events on the bus. A taken
address prevents the start (AddressInUse). At the stop, open requests get their answer and the outbox is published.
"""

import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import ip_network
from urllib.parse import urlsplit

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.components.bump.app import BumpApp, Metrics
from kannon.components.bump.challenges import Challenges, ListChallenges, no_challenges
from kannon.components.bump.keys import KeyLookup, VerificationKeys
from kannon.components.bump.outbox import Bus, Outbox
from kannon.http_server import listen_on, serve
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.server_tls import ServerTls

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
        listen_tls: str = "",
        tls: ServerTls | None = None,
        list_challenges: ListChallenges = no_challenges,
    ) -> None:
        self._listen = listen
        self._listen_tls = listen_tls
        self._tls = tls
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
            challenges=Challenges(list_challenges),
        )
        self.port = 0
        self.addresses: list[tuple[str, int]] = []
        """The addresses it listens on, once started: `listen`, then `listen_tls`."""

    def engagement(self) -> tuple[int, int]:
        """The number of events in the outbox, and of those dropped because the outbox was full."""
        return len(self._outbox), self._outbox.dropped

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serves until `stop`. Raises AddressInUse."""
        listener = listen_on("bump.listen", self._listen)
        self.addresses = [listener.getsockname()[:2]]
        self.port = self.addresses[0][1]
        tls = None
        if self._listen_tls and self._tls is not None:
            try:
                tls = (listen_on("bump.listen_tls", self._listen_tls), self._tls.context)
            except BaseException:
                listener.close()
                raise
            self.addresses.append(tls[0].getsockname()[:2])
        async with anyio.create_task_group() as group:
            group.start_soon(self._outbox.run)
            await group.start(self._serve, listener, tls, stop)
            log.info("bump is listening", addresses=[f"{host}:{port}" for host, port in self.addresses])
            task_status.started()

    async def _serve(
        self,
        listener: socket.socket,
        tls: tuple[socket.socket, ssl.SSLContext] | None,
        stop: anyio.Event,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        limit = self._max_connections
        await serve(self._app, listener, stop, max_connections=limit, tls=tls, task_status=task_status)
        self._outbox.close()
