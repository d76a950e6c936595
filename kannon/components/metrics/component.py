"""The metrics component: `GET /metrics` on a listener of its own, apart from everything strangers reach.

In: the numbers of meter and gauges. Out: Prometheus text (version 0.0.4). A reader costs the database one statement
and the bus a handful of requests. An address that is taken ends the process (AddressInUse) where the configuration
names it; the default one is nobody's decision, so then this process goes on without metrics, and says so.
"""

import socket
from collections.abc import Mapping
from typing import Any

import anyio
import structlog
from anyio.abc import TaskStatus
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

from kannon import __version__
from kannon.components.metrics.gauges import Gauges
from kannon.errors import AddressInUse
from kannon.http_server import listen_on, serve
from kannon.metrics.meter import Meter

log = structlog.get_logger()

MAX_CONNECTIONS = 50  # a few Prometheus servers, and a person who looks


class Metrics:
    """`chosen`: the operator named the address. `addresses` is where it listens, once started."""

    name = "metrics"

    def __init__(self, meter: Meter, gauges: Gauges, *, listen: str, chosen: bool = True) -> None:
        self._listen = listen
        self._chosen = chosen
        self._gauges = gauges
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        for collector in (meter, gauges, _Build()):
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
            log.warning("no metrics are served", why=str(error))
            return None

    async def text(self) -> bytes:
        """What /metrics says now."""
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
        family = GaugeMetricFamily("kannon_build_info", "The version that runs.", labels=["version"])
        family.add_metric([__version__], 1)
        return [family]
