"""The numbers that are read at each request: components, deliveries, streams, connections, and those of host.py.

In: the database, the bus and the components' own state. Out: metric families. A dependency that does not answer within
READ_SECONDS has no families, and its `kannon_up` is 0. Requests within FRESH_SECONDS get the same numbers.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from prometheus_client import Metric

from kannon.bus.backlog import Backlog, Progress
from kannon.bus.streams import CONSUMERS, DEAD_LETTERS_STREAM, STREAMS, ConsumerSpec
from kannon.components.metrics.host import Host, read_host
from kannon.db.metrics import count_connections, count_deliveries, count_suppressions
from kannon.db.pool import Database
from kannon.db.webhook_outbox import count_webhooks
from kannon.errors import KannonError
from kannon.mail.delivery import State
from kannon.metrics import names

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


class Processes(Protocol):
    """The further processes of this server."""

    @property
    def wanted(self) -> int: ...
    @property
    def ready(self) -> int: ...
    @property
    def restarts(self) -> int: ...
    async def metrics(self) -> Sequence[Sequence[Metric]]:
        """Of each."""
        ...


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


@dataclass(frozen=True, slots=True)
class Sources:
    """`db` None: this process uses no PostgreSQL. `api_db` has the connections of the API's calls, where those are
    separate. `own_only`: without the pool, the streams and the machine, whose numbers another process reports."""

    db: Database | None
    bus: Bus
    states: Callable[[], Sequence[ComponentState]]
    destinations: Callable[[], Sequence[Destination]] = tuple
    engagement: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """bump's opens and clicks: the number in its outbox, and the number dropped."""
    api_db: Database | None = None
    inbound_sessions: Callable[[], int] = lambda: 0
    submission_sessions: Callable[[], int] = lambda: 0
    host: Host = field(default_factory=Host)
    processes: Processes | None = None
    own_only: bool = False


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
            families = [*self._of_components(), *self._of_destinations(), *self._of_connections()]
            self._read_at = time.monotonic()
            if self._sources.own_only:
                self._families = families
                return
            families += [*self._of_processes(), *self._of_engagement(), *self._of_inbound()]
            families += await read_host(self._sources.host)
            up = names.UP.gauge()
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
        ready = names.COMPONENT_READY.gauge()
        restarts = names.COMPONENT_RESTARTS.counter()
        for state in self._sources.states():
            ready.add_metric([state.name], state.phase == "ready")
            restarts.add_metric([state.name], state.restarts)
        return [ready, restarts]

    def _of_processes(self) -> list[Metric]:
        """With this one, which answers."""
        further = self._sources.processes
        processes = names.PROCESSES.gauge()
        processes.add_metric(["wanted"], 1 + (further.wanted if further else 0))
        processes.add_metric(["ready"], 1 + (further.ready if further else 0))
        restarts = names.PROCESS_RESTARTS.counter()
        restarts.add_metric([], further.restarts if further else 0)
        return [processes, restarts]

    def _of_destinations(self) -> list[Metric]:
        """Sums over the MX sites of this process; `kannon_verdicts` has their results."""
        sites = self._sources.destinations()
        mails = names.SMTP_MAILS.gauge()
        mails.add_metric(["in_flight"], sum(site.in_flight for site in sites))
        mails.add_metric(["waiting"], sum(site.waiting for site in sites))
        connections = names.SMTP_CONNECTIONS.gauge()
        connections.add_metric([], sum(site.connections for site in sites))
        known = names.SMTP_DESTINATIONS.gauge()
        down = sum(site.next_probe_in is not None for site in sites)
        known.add_metric(["up"], len(sites) - down)
        known.add_metric(["down"], down)
        return [mails, connections, known]

    def _of_engagement(self) -> list[Metric]:
        waiting_count, lost_count = self._sources.engagement()
        waiting = names.READINGS_WAITING.gauge()
        waiting.add_metric([], waiting_count)
        lost = names.READINGS_LOST.counter()
        lost.add_metric([], lost_count)
        return [waiting, lost]

    def _of_inbound(self) -> list[Metric]:
        sessions = names.INBOUND_OPEN.gauge()
        sessions.add_metric([], self._sources.inbound_sessions())
        submissions = names.SUBMISSION_OPEN.gauge()
        submissions.add_metric([], self._sources.submission_sessions())
        return [sessions, submissions]

    async def _of_database(self) -> list[Metric]:
        db = self._sources.db
        assert db is not None, "asked only where there is one"  # noqa: S101  # for the type checker
        counts = {row.state: row for row in await count_deliveries(db.fail_fast())}
        deliveries = names.DELIVERIES.gauge()
        overdue = names.OVERDUE_SECONDS.gauge()
        for state in State:
            row = counts.get(state)
            deliveries.add_metric([state.value], row.count if row else 0)
            overdue.add_metric([state.value], row.overdue_seconds if row else 0.0)
        suppressions = names.SUPPRESSIONS.gauge()
        suppressions.add_metric([], await count_suppressions(db.fail_fast()))
        return [deliveries, overdue, suppressions, *await self._of_webhooks(db)]

    def _of_connections(self) -> list[Metric]:
        connections = names.POSTGRES_CONNECTIONS.gauge()
        for pool, database in (("background", self._sources.db), ("api", self._sources.api_db)):
            if database is not None:
                for name, count in count_connections(database).items():
                    connections.add_metric([pool, name], count)
        return [connections] if connections.samples else []

    async def _of_webhooks(self, db: Database) -> list[Metric]:
        counts = await count_webhooks(db.fail_fast())
        waiting = names.WEBHOOKS_WAITING.gauge()
        waiting.add_metric([], counts.waiting)
        overdue = names.WEBHOOKS_OVERDUE.gauge()
        overdue.add_metric([], counts.overdue_seconds)
        endpoints = names.WEBHOOK_ENDPOINTS.gauge()
        endpoints.add_metric(["working"], counts.working)
        endpoints.add_metric(["failing"], counts.failing)
        endpoints.add_metric(["off"], counts.disabled)
        broken = names.BROKEN_DOMAINS.gauge()
        broken.add_metric([], counts.broken_domains)
        return [waiting, overdue, endpoints, broken]

    async def _of_streams(self) -> list[Metric]:
        messages = names.STREAM_MESSAGES.gauge()
        limits = names.STREAM_LIMIT.gauge()
        size = names.STREAM_BYTES.gauge()
        age = names.STREAM_AGE_SECONDS.gauge()
        dead_letters = names.PARKED_MESSAGES.gauge()
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
        waiting = names.CONSUMER_WAITING.gauge()
        for consumer in CONSUMERS:
            progress = await self._sources.bus.progress(consumer)
            waiting.add_metric([consumer.stream, consumer.name], progress.waiting)
        return [messages, limits, size, age, waiting, dead_letters]
