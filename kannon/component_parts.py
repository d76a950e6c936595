"""What a process shares between its components, and what a component's row says of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from kannon.bus.bus import Bus
from kannon.config import Config
from kannon.db.pool import Database
from kannon.disk import DiskWatch
from kannon.embedded import DataDir
from kannon.metrics.metrics import Metrics
from kannon.runner.unit import Component
from kannon.server_tls import IssuedCertificates


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the factories take.

    `db` has the connections of the API's calls, `background` those of all other work, so that many calls at once do not
    stop the mail. `lost_before`: the database is embedded, so nothing that claimed before this process runs any longer.
    """

    config: Config
    data_dir: DataDir
    db: Database
    background: Database
    bus: Bus
    metrics: Metrics
    lost_before: Callable[[], Awaitable[datetime]] | None = None
    alone: bool = False
    """Nothing else claims deliveries of this database."""
    only_sender: bool = False
    """No other sender is on this NATS."""
    disk: DiskWatch | None = None
    """None: no server is embedded."""
    issued: IssuedCertificates | None = None
    """None: Kannon orders no certificates."""
    lacking: Callable[[], Sequence[str]] = tuple
    """The components of this process that are not ready."""


class Need(Enum):
    """What a component cannot work without. A server is embedded unless the configuration has its URL; the master key,
    which encrypts the secrets in PostgreSQL, is generated where PostgreSQL is embedded."""

    POSTGRES = "postgres"
    NATS = "nats"
    MASTER_KEY = "master_key"


class Layer(Enum):
    """When a component starts. The runner starts a layer once the layers below are ready."""

    FRONT = "front"
    """Before the schema is ready: these answer clients and remote servers while PostgreSQL is away."""
    BACK = "back"
    """After the schema is ready: without it these would only fail and retry."""


@dataclass(frozen=True, slots=True)
class ComponentEntry:
    """One row of COMPONENTS."""

    name: str
    layer: Layer
    needs: frozenset[Need]
    factory: Callable[[Parts], Component]
    label: str = ""
    """What it listens for, as the start banner calls it. Empty: it does not listen."""
    gauge: str = ""
    """The field of metrics.Sources that a method of the same name fills. Empty: none."""
