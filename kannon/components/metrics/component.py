"""The metrics component: `GET /metrics` on a listener of its own, apart from the ports that are open to the internet.

In: a call that reads all metrics. Out: Prometheus text (version 0.0.4). A request costs PostgreSQL two queries and NATS
a handful of requests. Where the configuration names the address and it is taken, the
process ends (AddressInUse); where the default address is taken, the process logs that and runs without metrics.
"""

import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import anyio
import structlog
from anyio.abc import TaskStatus
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Metric,
    generate_latest,
)

from kannon.errors import AddressInUse
from kannon.http_server import listen_on, serve

log = structlog.get_logger()

MAX_CONNECTIONS = 50  # a few Prometheus servers and a browser


Read = Callable[[], Awaitable[Sequence[Metric]]]


class MetricsServer:
    """`read` returns all metrics. `chosen`: the configuration names the address. `addresses` is where it listens, once
    started."""

    name = "metrics"

    def __init__(self, read: Read, *, listen: str, chosen: bool = True) -> None:
        self._read = read
        self._listen = listen
        self._chosen = chosen
        self.addresses: list[tuple[str, int]] = []

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serves until `stop`. Raises AddressInUse."""
        listener = self._bind()
        if listener is None:
            task_status.started()
            await stop.wait()
            return
        self.addresses = [listener.getsockname()[:2]]
        await serve(self._answer, listener, stop, max_connections=MAX_CONNECTIONS, task_status=task_status)

    def _bind(self) -> socket.socket | None:
        try:
            return listen_on("metrics.listen", self._listen)
        except AddressInUse as error:
            if self._chosen:
                raise
            log.warning("metrics are not served", why=str(error))
            return None

    async def text(self) -> bytes:
        """The answer of /metrics."""
        return generate_latest(_Families(await self._read()))

    async def _answer(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        status, content_type, body = 404, "text/plain", b"/metrics\n"
        if scope["path"] == "/metrics":
            if scope["method"] in ("GET", "HEAD"):
                status, content_type, body = 200, CONTENT_TYPE_LATEST, await self.text()
            else:
                status, body = 405, b"GET, HEAD\n"
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class _Families(CollectorRegistry):
    """Metrics that are collected already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._read = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._read)
