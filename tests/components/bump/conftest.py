"""A bump on a loopback port, with a bus that does as it is told; the real one is in test_bump_real.py."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import anyio
import pytest

from kannon.components.bump import Bump
from kannon.components.bump.app import Metrics
from kannon.errors import Unavailable
from kannon.mail.event import Event
from kannon.metrics.null_metrics import NULL_METRICS
from tests.support.mail import NOW, token_pair


@dataclass
class ScriptedBus:
    """`away`: every publish is refused. `hold`: publishes wait until it is set."""

    away: bool = False
    hold: anyio.Event | None = None
    events: list[Event] = field(default_factory=list)
    bursts: list[int] = field(default_factory=list)
    refused: anyio.Event = field(default_factory=anyio.Event)

    async def publish_events(self, events: Sequence[Event]) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.away:
            self.refused.set()
            raise Unavailable("NATS: not connected")
        self.bursts.append(len(events))
        self.events += events


@dataclass
class Keys:
    """A database of one key; counts its queries."""

    queries: int = 0
    away: bool = False

    async def list_keys(self, now: datetime) -> dict[str, str]:
        self.queries += 1
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise Unavailable("PostgreSQL: not connected")
        key, _ = token_pair()
        return {key.kid: key.private_pem}


@dataclass
class Running:
    bump: Bump
    bus: ScriptedBus
    keys: Keys
    stop: anyio.Event

    @property
    def port(self) -> int:
        return self.bump.port

    @property
    def events(self) -> list[Event]:
        return self.bus.events


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(clock: Clock) -> Start:
    """Call it for a running bump; leaving the block stops it."""

    @asynccontextmanager
    async def running(
        bus: ScriptedBus | None = None,
        base_url: str = "",
        trusted: Sequence[str] = (),
        max_connections: int = 500,
        metrics: Metrics = NULL_METRICS,
    ) -> AsyncIterator[Running]:
        numbers = itertools.count(1)
        bus, keys, stop = bus or ScriptedBus(), Keys(), anyio.Event()
        bump = Bump(
            bus,
            keys.list_keys,
            listen="127.0.0.1:0",
            base_url=base_url,
            trusted_proxies=trusted,
            max_connections=max_connections,
            clock=clock,
            new_id=lambda: f"event{next(numbers)}",
            metrics=metrics,
        )
        async with anyio.create_task_group() as group:
            await group.start(bump.run, stop)
            yield Running(bump, bus, keys, stop)
            stop.set()

    return running
