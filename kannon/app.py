"""The wiring: which component gets what. Read it top to bottom; nothing is wired anywhere else.

In: the configuration, the names of the components to run, an open data directory. Out: layers of components for the
runner, lowest first.
"""

import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import TaskStatus

from kannon.bus.connection import Bus
from kannon.bus.streams import STATS
from kannon.components.api import Api, ApiSettings
from kannon.components.bump import Bump
from kannon.components.dispatcher import Builder, BuildOptions, Dispatcher, Outcomes, Scheduler, SchedulerLimits
from kannon.components.metrics import ComponentState, Gauges, Meter, Metrics, Sources
from kannon.components.sender import Sender
from kannon.components.smtp import InboundSmtp
from kannon.components.stats import Stats
from kannon.components.validator import Validator
from kannon.config import Config, split_listen
from kannon.db import domains, keys
from kannon.db.pool import PATIENCE_SECONDS, Database, open_database
from kannon.db.queue import DeliveryRef, find_delivery
from kannon.db.schema import Schema, check_schema
from kannon.dns_lookup import make_txt_lookup
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.embedded.postgres import connections_for
from kannon.errors import Unavailable
from kannon.hostname import name_host
from kannon.mail.retry import RetryBudget
from kannon.mail.send_request import Limits
from kannon.mail.suppression import SuppressionRule
from kannon.outbound import Deliverer, Sandbox
from kannon.runner import Component

NEED_POSTGRES = frozenset({"api", "validator", "dispatcher", "smtp", "bump", "stats"})
BOUNCE_GRACE = timedelta(days=30)  # reports may come this long after the retry window


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Registry:
    """What the inbound SMTP server asks of the database."""

    db: Database
    bus: Bus

    async def find_delivery(self, delivery_id: int) -> DeliveryRef | None:
        """None: there is none. One that is over is known to the statistics, and while these are behind nobody knows."""
        found = await find_delivery(self.db, delivery_id)
        if found is None:
            if (await self.bus.progress(STATS)).waiting:
                raise Unavailable("not known, but the statistics are behind")
            found = await find_delivery(self.db, delivery_id)  # what came in between
        return found

    async def bounce_secrets(self) -> Sequence[bytes]:
        return await keys.bounce_secrets(self.db, generate=secrets.token_bytes)

    async def is_tenant_domain(self, domain: str) -> bool:
        return await domains.find_domain(self.db, domain) is not None


@dataclass(frozen=True, slots=True)
class Connections:
    """Between the servers and the components: closes what the components shared, once they have ended."""

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
    """Layers for the runner, lowest first; the seven components (those enabled) by name."""

    layers: list[list[Component]]
    components: dict[str, Component]
    metrics: Metrics | None

    def addresses(self, name: str) -> list[tuple[str, int]]:
        """Where a component listens: nothing for one that does not, does not yet, or is not enabled."""
        component = self.metrics if name == "metrics" else self.components.get(name)
        addresses: list[tuple[str, int]] = getattr(component, "addresses", [])
        return addresses


@dataclass(frozen=True, slots=True)
class Parts:
    """What components are made of. `db` has the connections of the API's calls, `background` those of all else: many
    calls at once do not stop the mail. `single_node`: the database is embedded, so nobody else works on it."""

    config: Config
    data_dir: DataDir
    db: Database
    background: Database
    bus: Bus
    meter: Meter
    single_node: bool


async def wire(
    config: Config,
    enabled: Sequence[str],
    data_dir: DataDir,
    *,
    migrate: bool,
    states: Callable[[], Sequence[ComponentState]] = tuple,
) -> Wired:
    """Opens nothing that can fail: connections are made when the components start. `states` are the runner's."""
    config = await to_thread.run_sync(name_host, config)
    servers: list[Component] = []
    keep: Callable[[str], Awaitable[Path]] | None = None
    postgres_url, nats_url = config.postgres.url, config.nats.url
    needs_postgres = bool(NEED_POSTGRES & set(enabled))
    if not postgres_url and needs_postgres:
        room = connections_for(config.postgres.pool_size)
        # In a thread, as nats below: the executable's copies of the servers are hashed.
        postgres = await to_thread.run_sync(partial(EmbeddedPostgres, data_dir.path, max_connections=room))
        servers.append(postgres)
        postgres_url = postgres.url
        keep = partial(postgres.backups.keep, clock=now)
    if not nats_url:
        nats = await to_thread.run_sync(EmbeddedNats, data_dir.path)
        servers.append(nats)
        nats_url = nats.url

    embedded = not config.postgres.url
    url, size = postgres_url or "postgres://", config.postgres.pool_size
    calls = size - size // 2 if "api" in enabled else 0
    db = await open_database(url, pool_size=max(1, calls), name="kannon api")
    # The tasks of these components are few and their statements have limits: a wait for a connection ends by itself.
    background = await open_database(url, pool_size=size - calls, patience=None)
    bus = Bus(nats_url, replicas=config.nats.replicas)
    schema = Schema(postgres_url, migrate=embedded or migrate, keep=keep)
    parts = Parts(config, data_dir, db, background, bus, Meter(), single_node=embedded)
    components = {name: _component(name, parts) for name in enabled}

    # The listeners and the sender need no schema to stand up: a reader or a remote server gets an answer while
    # PostgreSQL is away. The others would only fail and wait.
    front = [components[n] for n in ("api", "smtp", "bump", "sender") if n in components]
    back = [components[n] for n in ("validator", "dispatcher", "stats") if n in components]
    middle: list[Component] = [schema, *front] if needs_postgres else front
    metrics = _metrics(parts, components, states, needs_postgres=needs_postgres)
    # The metrics are below everything else: they tell how the others fare, also while those do not start.
    bottom: list[Component] = [metrics] if metrics else []
    layers: list[list[Component]] = [bottom, servers, [Connections(db, background, bus)], middle, back]
    return Wired([layer for layer in layers if layer], components, metrics)


def _metrics(
    parts: Parts,
    components: dict[str, Component],
    states: Callable[[], Sequence[ComponentState]],
    *,
    needs_postgres: bool,
) -> Metrics | None:
    config = parts.config.metrics
    if not config.listen:
        return None
    sources = Sources(parts.background if needs_postgres else None, parts.bus, states)
    if needs_postgres and "api" in components:
        sources = replace(sources, api_db=parts.db)
    sender, bump = components.get("sender"), components.get("bump")
    if isinstance(sender, Sender):
        sources = replace(sources, destinations=sender.destinations)
    if isinstance(bump, Bump):
        sources = replace(sources, engagement=bump.engagement)
    chosen = "listen" in config.model_fields_set
    return Metrics(parts.meter, Gauges(sources), listen=config.listen, chosen=chosen)


def _component(name: str, parts: Parts) -> Component:
    config, data_dir, db, bus, meter = parts.config, parts.data_dir, parts.background, parts.bus, parts.meter
    match name:
        case "api":
            host, port = split_listen(config.api.listen)
            settings = ApiSettings(
                host=host,
                port=port,
                admin_token=config.api.admin_token.get_secret_value() or data_dir.admin_token(),
                max_request_bytes=config.api.max_request_bytes,
                limits=Limits(config.message.max_bytes, config.message.max_recipients),
                suppression=config.suppression.enabled,
                retry_window=config.retry.window,
                retention=config.stats.retention,
                tls_cert=config.api.tls_cert,
                tls_key=config.api.tls_key,
            )
            checks: dict[str, Callable[[], Awaitable[None]]] = {
                "postgres": partial(check_schema, db.prompt()),
                "nats": bus.ping,
            }
            look_up = make_txt_lookup(config.dns.nameservers)
            return Api(settings, parts.db, bus, checks, look_up, meter, background=db)
        case "validator":
            return Validator(db, bus, single_node=parts.single_node, meter=meter)
        case "dispatcher":
            return _dispatcher(parts)
        case "sender":
            return Sender(_deliverer(parts), bus, clock=now, max_bytes=config.sender.max_bytes_in_flight, meter=meter)
        case "smtp":
            return InboundSmtp(
                config.smtp, data_dir.path, Registry(replace(db, patience=PATIENCE_SECONDS), bus), bus, meter=meter
            )
        case "bump":
            return Bump(
                bus,
                partial(keys.find_verification_key, replace(db, patience=PATIENCE_SECONDS)),
                listen=config.bump.listen,
                base_url=config.bump.base_url,
                trusted_proxies=config.bump.trusted_proxies,
                max_connections=config.bump.max_connections,
                clock=now,
                new_id=partial(secrets.token_hex, 16),
            )
        case "stats":
            rule = SuppressionRule(
                config.suppression.enabled, config.suppression.bounce_expiry, config.suppression.complaint_expiry
            )
            return Stats(db, bus, retention=config.stats.retention, rule=rule, clock=now, meter=meter)
    raise ValueError(name)


def _deliverer(parts: Parts) -> Deliverer | Sandbox:
    config = parts.config
    if config.sender.mode == "sandbox":
        return Sandbox(parts.data_dir.path / "sandbox", config.sender, config.smtp)
    return Deliverer(config.sender, config.dns)


def _dispatcher(parts: Parts) -> Dispatcher:
    config, db, bus = parts.config, parts.background, parts.bus
    options = BuildOptions(
        base_url=config.bump.base_url,
        autoescape=config.message.autoescape,
        token_ttl=config.tracking.token_ttl,
        bounce_ttl=config.retry.window + BOUNCE_GRACE,
    )
    budget = RetryBudget(config.retry.window, config.retry.first, config.retry.max)
    limits = SchedulerLimits(
        page=config.dispatcher.page,
        max_backlog=config.dispatcher.max_backlog,
        max_backlog_bytes=config.dispatcher.max_backlog_bytes,
        workers=config.dispatcher.workers,
    )
    builder = Builder(db, options, workers=config.dispatcher.workers, clock=now)
    outcomes = Outcomes(db, bus, budget=budget, chance=random.random, meter=parts.meter)
    scheduler = Scheduler(db, bus, builder, limits, clock=now, meter=parts.meter)
    lease = config.dispatcher.lease
    return Dispatcher(db, bus, scheduler, outcomes, builder, lease=lease, single_node=parts.single_node)
