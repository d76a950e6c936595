"""The metrics component: `GET /metrics` on a listener of its own, apart from the ports that are open to the internet.

In: a registry with the components' counters, and the gauges. Out: Prometheus text (version 0.0.4). A request costs
PostgreSQL two queries and NATS a handful of requests. Where the configuration names the address and it is taken, the
process ends (AddressInUse); where the default address is taken, the process logs that and runs without metrics.
"""

import socket
from collections.abc import Mapping
from typing import Any

import anyio
import structlog
from anyio.abc import TaskStatus
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from kannon import __version__
from kannon.components.metrics.gauges import Gauges
from kannon.errors import AddressInUse
from kannon.http_server import listen_on, serve
from kannon.metrics import names

log = structlog.get_logger()

MAX_CONNECTIONS = 50  # a few Prometheus servers and a browser


class MetricsServer:
    """`counted` has the components' metrics. `chosen`: the configuration names the address. `addresses` is where it
    listens, once started."""

    name = "metrics"

    def __init__(self, counted: CollectorRegistry, gauges: Gauges, *, listen: str, chosen: bool = True) -> None:
        self._listen = listen
        self._chosen = chosen
        self._gauges = gauges
        # No kannon_…_created: prometheus_client has one switch, for the process.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        for collector in (counted, gauges, _Build()):
            self._registry.register(collector)
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
        await self._gauges.refresh()
        return generate_latest(self._registry)

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


class _Build:
    def collect(self) -> list[GaugeMetricFamily]:
        family = names.BUILD_INFO.gauge()
        family.add_metric([__version__], 1)
        return [family]
