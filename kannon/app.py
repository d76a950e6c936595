"""Wires the process: the embedded servers, the connections, the schema and the components that are enabled.

In: the configuration, the names of the components to run, an open data directory. Out: layers of components for the
runner, lowest first. kannon.component_table lists the components. `wire` is for the first process of `kannon serve`;
`wire_further` for one that the first has started (kannon.processes).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
from anyio import to_thread
from anyio.abc import TaskStatus
from prometheus_client import CollectorRegistry

from kannon.bus.bus import Bus
from kannon.clock import ClockWatch
from kannon.component_factories import make_certificates
from kannon.component_parts import ComponentEntry, Layer, Need, Parts, now
from kannon.component_table import COMPONENTS
from kannon.components.metrics import ComponentState, Gauges, Host, MetricsServer, Reading, Sources
from kannon.components.node import NodeReply
from kannon.config import Config
from kannon.config.tls_files import certificate_expiries
from kannon.db.cipher import Cipher
from kannon.db.pool import Database, open_database
from kannon.db.queue import FirstClock
from kannon.db.schema import Schema
from kannon.db.secrets import MISSING as MISSING_KEY
from kannon.disk import DiskWatch
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.embedded.backup import read_last_backup
from kannon.embedded.master_key import add_master_key, master_key_source
from kannon.embedded.postgres import connections_for
from kannon.errors import ConfigError
from kannon.hostname import name_host
from kannon.metrics.metrics import Metrics
from kannon.processes import Order, ParentLink, Processes, add_up, count_processes, divide, postgres_connections
from kannon.processes.division import SHARED
from kannon.runner.unit import Component
from kannon.server_tls import IssuedCertificates

SERVE_TLS: Final = frozenset({"bump", "smtp", "submission"})
"""Components that use the certificates which Kannon orders."""
METRICS_LABEL: Final = "metrics (HTTP)"


@dataclass(frozen=True, slots=True)
class Connections:
    """Closes the database pools and the bus after the components that share them have ended."""

    db: Database
    background: Database
    bus: Bus
    name: str = "connections"

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await stop.wait()
        await self.bus.close()
        await self.db.close()
        await self.background.close()


@dataclass(frozen=True, slots=True)
class Wired:
    """Layers for the runner, lowest first, and the enabled components by name."""

    layers: list[list[Component]]
    components: dict[str, Component]
    metrics: MetricsServer | None

    def addresses(self, name: str) -> list[tuple[str, int]]:
        """Where a component listens now; empty if it does not listen, is not ready or is not enabled."""
        component = self.metrics if name == "metrics" else self.components.get(name)
        addresses: list[tuple[str, int]] = getattr(component, "addresses", [])
        return addresses

    def listeners(self) -> list[tuple[str, str, list[tuple[str, int]]]]:
        """Name, label and addresses of everything that listens now."""
        labels = [(entry.name, entry.label) for entry in COMPONENTS] + [("metrics", METRICS_LABEL)]
        return [(name, label, found) for name, label in labels if (found := self.addresses(name))]


async def wire(
    config: Config,
    enabled: Sequence[str],
    data_dir: DataDir,
    *,
    migrate: bool,
    states: Callable[[], Sequence[ComponentState]] = tuple,
) -> Wired:
    """Opens no connection: components connect when they start. `states` are the runner's."""
    whole = await to_thread.run_sync(name_host, config)
    count = count_processes(whole, enabled)
    config = divide(whole, 1, count)
    entries, needs = _entries(enabled)
    servers: list[Component] = []
    backup: Callable[[str], Awaitable[Path]] | None = None
    postgres_url, nats_url = config.postgres.url, config.nats.url
    if not postgres_url and Need.POSTGRES in needs:
        room = connections_for(postgres_connections(config, count))
        # In a thread, as NATS below, because it hashes the executable's copies of the servers.
        postgres = await to_thread.run_sync(partial(EmbeddedPostgres, data_dir.path, max_connections=room))
        servers.append(postgres)
        postgres_url = postgres.url
        backup = partial(postgres.backups.write_rotated, clock=now)
    if not nats_url and Need.NATS in needs:
        nats = await to_thread.run_sync(EmbeddedNats, data_dir.path)
        servers.append(nats)
        nats_url = nats.url

    embedded = not config.postgres.url
    cipher = Cipher(master_key_source(config, data_dir.path))
    if Need.MASTER_KEY in needs and not embedded and not cipher.load():
        raise ConfigError(f"configuration: {MISSING_KEY}")
    db, background = await _open_pools(postgres_url, config.postgres.pool_size, enabled, cipher)
    bus = Bus(nats_url, replicas=config.nats.replicas, syncs=not config.nats.url)
    first_clock = FirstClock(background)
    processes: Processes | None = None
    if count > 1:
        served = whole.model_copy(
            update={
                "postgres": whole.postgres.model_copy(update={"url": postgres_url}),
                "nats": whole.nats.model_copy(update={"url": nats_url}),
            }
        )
        shared = tuple(entry.name for entry in entries if entry.name in SHARED)
        orders = [Order(number, divide(served, number, count), shared) for number in range(2, count + 1)]
        # A further process may claim at once, and its claims are not among those that were lost before the start.
        before_start = first_clock if embedded and Need.POSTGRES in needs else _at_once
        processes = Processes(orders, at_once=whole.runner.processes > 0, before_start=before_start)
    registry = CollectorRegistry(auto_describe=False)
    counted = Metrics(registry)
    disk = DiskWatch(data_dir.path, config.disk.reserve) if servers else None
    names: set[str] = set()

    def lacking() -> list[str]:
        not_ready = [state.name for state in states() if state.name in names and state.phase != "ready"]
        return not_ready + (processes.lacking() if processes is not None else [])

    serves_tls = config.acme.contact != "" and any(name in SERVE_TLS for name in enabled)
    issued = IssuedCertificates() if serves_tls else None
    parts = Parts(
        config,
        data_dir,
        db,
        background,
        bus,
        counted,
        issued=issued,
        lost_before=first_clock if embedded else None,
        alone=embedded and count == 1,
        only_sender=not config.nats.url and count == 1,
        disk=disk,
        lacking=lacking,
    )
    components = {entry.name: entry.factory(parts) for entry in entries}

    front = [components[entry.name] for entry in entries if entry.layer is Layer.FRONT]
    back = [components[entry.name] for entry in entries if entry.layer is Layer.BACK]
    front.append(NodeReply(bus, 1, list(components), states, lambda: counted.attempts, now))
    ordered = make_certificates(parts, issued) if issued is not None else None
    if ordered is not None:
        back.append(ordered)
    if Need.POSTGRES in needs:
        schema = Schema(
            postgres_url,
            migrate=embedded or migrate,
            backup=backup,
            cipher=cipher if Need.MASTER_KEY in needs else None,
            generate_key=partial(add_master_key, data_dir.path) if embedded else None,
        )
        front.insert(0, schema)
    if processes is not None:
        back.append(processes)
    sources = Sources(background if Need.POSTGRES in needs else None, bus, states, processes=processes)
    if "api" in components:
        sources = replace(sources, api_db=db)

    def certificates() -> dict[str, datetime]:
        return certificate_expiries(config, enabled) | (ordered.expiries() if ordered is not None else {})

    last_backup = partial(read_last_backup, data_dir.path) if embedded and Need.POSTGRES in needs else None
    sources = replace(sources, host=Host(disk, last_backup, certificates))
    gauges = Gauges(replace(sources, **_gauges(components)))
    metrics = None
    if config.metrics.listen:
        reading = Reading(registry, gauges, processes=processes, add_up=add_up)
        chosen = "listen" in config.metrics.model_fields_set
        metrics = MetricsServer(reading, listen=config.metrics.listen, chosen=chosen)
    # The metrics start first, because they show how everything above fares while it does not start.
    bottom: list[Component] = [part for part in (metrics, ClockWatch(), disk) if part is not None]
    layers: list[list[Component]] = [bottom, servers, [Connections(db, background, bus)], front, back]
    names.update(component.name for layer in layers for component in layer)
    return Wired([layer for layer in layers if layer], components, metrics)


async def wire_further(
    order: Order, parent: ParentLink, data_dir: DataDir, states: Callable[[], Sequence[ComponentState]]
) -> list[list[Component]]:
    """Layers of a further process. Its configuration has the URLs of the servers, embedded or not."""
    config = order.config
    entries, needs = _entries(order.components)
    cipher = Cipher(master_key_source(config, data_dir.path))
    api_db, db = await _open_pools(config.postgres.url, config.postgres.pool_size, order.components, cipher)
    bus = Bus(config.nats.url, replicas=config.nats.replicas)
    registry = CollectorRegistry(auto_describe=False)
    counted = Metrics(registry)
    parts = Parts(config, data_dir, api_db, db, bus, counted)
    components = {entry.name: entry.factory(parts) for entry in entries}
    sources = Sources(db if Need.POSTGRES in needs else None, bus, states, own_only=True)
    parent.read_metrics = Reading(registry, Gauges(replace(sources, **_gauges(components))))
    front = [components[entry.name] for entry in entries if entry.layer is Layer.FRONT]
    back = [components[entry.name] for entry in entries if entry.layer is Layer.BACK]
    front.append(NodeReply(bus, order.number, order.components, states, lambda: counted.attempts, now))
    if Need.POSTGRES in needs:
        needed = cipher if Need.MASTER_KEY in needs else None
        front.insert(0, Schema(config.postgres.url, migrate=False, cipher=needed))
    layers: list[list[Component]] = [[parent], [Connections(api_db, db, bus)], front, back]
    return [layer for layer in layers if layer]


def _entries(enabled: Sequence[str]) -> tuple[list[ComponentEntry], frozenset[Need]]:
    entries = [entry for entry in COMPONENTS if entry.name in enabled]
    return entries, frozenset[Need]().union(*(entry.needs for entry in entries))


async def _open_pools(url: str, size: int, enabled: Sequence[str], cipher: Cipher) -> tuple[Database, Database]:
    """For calls of the API, and for everything else."""
    url = url or "postgres://"
    calls = size - size // 2 if {"api", "submission"} & set(enabled) else 0
    db = await open_database(url, pool_size=max(1, calls), name="kannon api", cipher=cipher)
    # Background work has few tasks, and its statements have limits: a wait for a connection ends by itself.
    return db, await open_database(url, pool_size=size - calls, acquire_timeout=None, cipher=cipher)


def _gauges(components: Mapping[str, Component]) -> dict[str, Any]:
    """Fields of Sources."""
    return {
        entry.gauge: getattr(components[entry.name], entry.gauge)
        for entry in COMPONENTS
        if entry.gauge and entry.name in components
    }


async def _at_once() -> None:
    """No claims are known to be lost."""
