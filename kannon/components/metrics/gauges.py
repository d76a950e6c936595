"""The numbers that are read at each request: components, deliveries, streams, connections.

In: the database, the bus and the components' own state. Out: metric families. A dependency that does not answer within
READ_SECONDS has no families, and its `kannon_up` is 0. Requests within FRESH_SECONDS get the same numbers.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from kannon.bus.backlog import Backlog, Progress
from kannon.bus.streams import CONSUMERS, DEAD_LETTERS_STREAM, STREAMS, ConsumerSpec
from kannon.db.metrics import count_connections, count_deliveries, count_suppressions
from kannon.db.pool import Database
from kannon.errors import KannonError
from kannon.mail.delivery import State

READ_SECONDS = 2.0
FRESH_SECONDS = 1.0


class ComponentState(Protocol):
    """A component, as the runner sees it."""

    @property
    def name(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def restarts(self) -> int: ...


class Destination(Protocol):
    """An MX site, as the sender sees it."""

    @property
    def waiting(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def next_probe_in(self) -> float | None: ...


class Bus(Protocol):
    async def backlog(self, stream: str) -> Backlog: ...
    async def progress(self, spec: ConsumerSpec) -> Progress: ...


class DiskUsage(Protocol):
    """Bytes."""

    @property
    def free(self) -> int: ...
    @property
    def reserve(self) -> int: ...


class Disk(Protocol):
    """Of the data directory."""

    @property
    def path(self) -> Path: ...
    @property
    def usage(self) -> DiskUsage | None: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """`db` None: this process uses no PostgreSQL. `api_db` has the connections of the API's calls, where those are
    separate."""

    db: Database | None
    bus: Bus
    states: Callable[[], Sequence[ComponentState]]
    destinations: Callable[[], Sequence[Destination]] = tuple
    engagement: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """bump's opens and clicks: the number in its outbox, and the number dropped."""
    api_db: Database | None = None
    disk: Disk | None = None
    """None: this process has no embedded server."""


class Gauges:
    """`collect` returns what the last `refresh` read."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._families: list[Metric] = []
        self._read_at = float("-inf")
        self._lock = anyio.Lock()

    def collect(self) -> Iterable[Metric]:
        return self._families

    async def refresh(self) -> None:
        async with self._lock:
            if time.monotonic() - self._read_at < FRESH_SECONDS:
                return
            families = [*self._of_components(), *self._of_destinations(), *self._of_engagement(), *self._of_disk()]
            up = GaugeMetricFamily("kannon_up", "Whether a dependency answers.", labels=["dependency"])
            asked: list[tuple[str, Callable[[], Awaitable[list[Metric]]]]] = [("nats", self._of_streams)]
            if self._sources.db is not None:
                asked.append(("postgres", self._of_database))
            for name, ask in asked:
                try:
                    with anyio.fail_after(READ_SECONDS):
                        families += await ask()
                except (KannonError, TimeoutError):
                    up.add_metric([name], 0)
                else:
                    up.add_metric([name], 1)
            self._families = [*families, up]
            self._read_at = time.monotonic()

    def _of_components(self) -> list[Metric]:
        ready = GaugeMetricFamily("kannon_component_ready", "Whether a component serves.", labels=["component"])
        restarts = CounterMetricFamily("kannon_component_restarts", "Failures of a component.", labels=["component"])
        for state in self._sources.states():
            ready.add_metric([state.name], state.phase == "ready")
            restarts.add_metric([state.name], state.restarts)
        return [ready, restarts]

    def _of_destinations(self) -> list[Metric]:
        """Sums over the MX sites of this process; `kannon_verdicts` has their results."""
        sites = self._sources.destinations()
        mails = GaugeMetricFamily("kannon_smtp_mails", "Mails in the sender.", labels=["where"])
        mails.add_metric(["in_flight"], sum(site.in_flight for site in sites))
        mails.add_metric(["waiting"], sum(site.waiting for site in sites))
        connections = GaugeMetricFamily("kannon_smtp_connections", "Open connections to MX hosts.")
        connections.add_metric([], sum(site.connections for site in sites))
        known = GaugeMetricFamily("kannon_smtp_destinations", "MX sites in use, by whether they answer.", labels=["is"])
        down = sum(site.next_probe_in is not None for site in sites)
        known.add_metric(["up"], len(sites) - down)
        known.add_metric(["down"], down)
        return [mails, connections, known]

    def _of_engagement(self) -> list[Metric]:
        waiting_count, lost_count = self._sources.engagement()
        waiting = GaugeMetricFamily("kannon_readings_waiting", "Opens and clicks that wait for NATS in memory.")
        waiting.add_metric([], waiting_count)
        lost = CounterMetricFamily("kannon_readings_lost", "Opens and clicks dropped because NATS was away too long.")
        lost.add_metric([], lost_count)
        return [waiting, lost]

    def _of_disk(self) -> list[Metric]:
        disk = self._sources.disk
        if disk is None or disk.usage is None:
            return []
        free = GaugeMetricFamily("kannon_disk_free_bytes", "Free space for the data directory.", labels=["path"])
        free.add_metric([str(disk.path)], disk.usage.free)
        reserve = GaugeMetricFamily("kannon_disk_reserve_bytes", "Below it sends are refused.", labels=["path"])
        reserve.add_metric([str(disk.path)], disk.usage.reserve)
        return [free, reserve]

    async def _of_database(self) -> list[Metric]:
        db = self._sources.db
        assert db is not None, "asked only where there is one"  # noqa: S101  # for the type checker
        counts = {row.state: row for row in await count_deliveries(db.fail_fast())}
        deliveries = GaugeMetricFamily("kannon_deliveries", "Deliveries without an outcome.", labels=["state"])
        overdue = GaugeMetricFamily("kannon_overdue_seconds", "Time since the first one was due.", labels=["state"])
        for state in State:
            row = counts.get(state)
            deliveries.add_metric([state.value], row.count if row else 0)
            overdue.add_metric([state.value], row.overdue_seconds if row else 0.0)
        suppressions = GaugeMetricFamily("kannon_suppressions", "Addresses suppressed now, of all domains.")
        suppressions.add_metric([], await count_suppressions(db.fail_fast()))
        connections = GaugeMetricFamily(
            "kannon_postgres_connections", "Connections to PostgreSQL.", labels=["pool", "state"]
        )
        for pool, database in (("background", db), ("api", self._sources.api_db)):
            if database is not None:
                for name, count in count_connections(database).items():
                    connections.add_metric([pool, name], count)
        return [deliveries, overdue, suppressions, connections]

    async def _of_streams(self) -> list[Metric]:
        messages = GaugeMetricFamily("kannon_stream_messages", "Messages in a stream.", labels=["stream"])
        limits = GaugeMetricFamily("kannon_stream_limit", "Messages that a stream can hold.", labels=["stream"])
        size = GaugeMetricFamily("kannon_stream_bytes", "Bytes in a stream.", labels=["stream"])
        age = GaugeMetricFamily("kannon_stream_age_seconds", "Age of a stream's oldest message.", labels=["stream"])
        dead_letters = GaugeMetricFamily(
            "kannon_parked_messages", "Dead letters: messages that no component could handle."
        )
        for spec in STREAMS:
            backlog = await self._sources.bus.backlog(spec.name)
            if spec.name == DEAD_LETTERS_STREAM:
                dead_letters.add_metric([], backlog.messages)
                continue
            oldest = 0.0 if backlog.age is None else backlog.age.total_seconds()
            messages.add_metric([spec.name], backlog.messages)
            limits.add_metric([spec.name], spec.max_msgs)
            size.add_metric([spec.name], backlog.bytes)
            age.add_metric([spec.name], max(0.0, oldest))
        waiting = GaugeMetricFamily(
            "kannon_consumer_waiting", "Messages a consumer has not settled.", labels=["stream", "consumer"]
        )
        for consumer in CONSUMERS:
            progress = await self._sources.bus.progress(consumer)
            waiting.add_metric([consumer.stream, consumer.name], progress.waiting)
        return [messages, limits, size, age, waiting, dead_letters]
