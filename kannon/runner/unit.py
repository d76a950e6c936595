"""A component and its state; a layer of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.runner.environment import Clock

log = structlog.get_logger()

Phase = Literal["waiting", "starting", "ready", "failed", "stopping", "ended"]


class Component(Protocol):
    """A part of the process. `run` reports started when it serves, and returns soon after `stop` is set."""

    @property
    def name(self) -> str: ...

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None: ...


@dataclass(frozen=True, slots=True)
class State:
    """The state of one component, for health checks. `retry_seconds`: until the next start, if one is due."""

    name: str
    phase: Phase
    reason: str = ""
    retry_seconds: float | None = None
    restarts: int = 0


@dataclass(eq=False)
class Unit:
    """A component and its state. Also the task_status of the component."""

    component: Component
    clock: Clock
    changed: Callable[[], None]
    phase: Phase = "waiting"
    reason: str = ""
    restarts: int = 0
    ready_since: float | None = None
    next_try: float | None = None
    first_ready: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def move(self, phase: Phase, reason: str = "", *, next_try: float | None = None) -> None:
        self.phase, self.reason, self.next_try = phase, reason, next_try
        self.ready_since = self.clock.now() if phase == "ready" else None
        self.changed()

    def started(self, value: None = None) -> None:
        if self.phase == "starting":
            self.first_ready.set()
            log.info("ready")
            self.move("ready")

    def healthy_seconds(self) -> float:
        return 0.0 if self.ready_since is None else self.clock.now() - self.ready_since

    def state(self) -> State:
        retry_seconds = None if self.next_try is None else max(0.0, self.next_try - self.clock.now())
        return State(self.component.name, self.phase, self.reason, retry_seconds, self.restarts)


@dataclass(eq=False)
class Layer:
    units: list[Unit]
    stop: anyio.Event = field(default_factory=anyio.Event)
