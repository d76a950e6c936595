"""Runs the components of one process: starts them, restarts each alone when it fails, stops them in two steps.

In: layers of components, lowest first (embedded servers, then the schema, then the seven). Out: `run` returns when a
signal asked for it and everything has ended, or raises the OperatorError that ended the process.

    a layer starts      when every component of the layers below has once been ready
    a component fails   it is restarted alone after 0.5 s … 30 s (doubling, jittered; anew after a healthy minute), or
                        … 4 s while it is a dependency that is away
    an OperatorError    before a component was first ready ends the process; later it is a failure like any other
    SIGTERM, SIGINT     first: `stop` is set from the top layer down; what is not ready yet is cancelled at once, the
                        rest at the deadline. Second: cancelled now. Third: the process ends on the spot, exit code 1
    exit                a stop that was asked for exits 0, cut or not: what is cut is not lost, and a warning names it
"""

import math
import os
import random
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.errors import KannonError, OperatorError, Unavailable
from kannon.log import describe, leaves
from kannon.systemd import Systemd

log = structlog.get_logger()

HEALTHY_SECONDS: Final = 60.0
FIRST_DELAY_SECONDS: Final = 1.0
MAX_DELAY_SECONDS: Final = 30.0
MAX_DEPENDENCY_DELAY_SECONDS: Final = 4.0
_PULSE_SECONDS: Final = 10.0

Phase = Literal["waiting", "starting", "ready", "failed", "stopping", "ended"]


class Component(Protocol):
    """What runs. `run` says started only when it really serves, and returns soon after `stop` is set."""

    @property
    def name(self) -> str: ...

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None: ...


class Clock(Protocol):
    """Time, so that a test can own it."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class EventLoopClock:
    """The event loop's monotonic time."""

    def now(self) -> float:
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def receive_signals() -> AbstractContextManager[AsyncIterator[signal.Signals]]:
    """The two that mean stop; while the context is open they do nothing else."""
    return anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class World:
    """What the runner takes from outside, so that a test can stand in for it."""

    clock: Clock = field(default_factory=EventLoopClock)
    jitter: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    signals: Callable[[], AbstractContextManager[AsyncIterator[signal.Signals]]] = receive_signals
    abort: Callable[[int], object] = os._exit


@dataclass(frozen=True, slots=True)
class State:
    """How one component fares, for health checks. `retry_seconds`: until the next try, if it waits for one."""

    name: str
    phase: Phase
    reason: str = ""
    retry_seconds: float | None = None
    restarts: int = 0


class Backoff:
    """The wait before each restart: doubling from 1 s to 30 s, of which jitter takes up to half."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._next_seconds = FIRST_DELAY_SECONDS

    def delay(self, healthy_seconds: float, *, dependency: bool = False) -> float:
        """Seconds to wait after a failure that was preceded by so many seconds of being ready.

        A `dependency` that is away is nobody's bug: it is looked for every few seconds, so that its return is noticed.
        """
        if healthy_seconds >= HEALTHY_SECONDS:
            self._next_seconds = FIRST_DELAY_SECONDS
        most = MAX_DEPENDENCY_DELAY_SECONDS if dependency else MAX_DELAY_SECONDS
        full = min(self._next_seconds, most)
        self._next_seconds = min(full * 2, most)
        return full * (0.5 + 0.5 * self._jitter())


@dataclass(eq=False)
class _Unit:
    """A component and what is known about it. Serves as its task_status."""

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
class _Layer:
    units: list[_Unit]
    stop: anyio.Event = field(default_factory=anyio.Event)


class Runner:
    """Owns the process's one task group. `run` may be called once."""

    def __init__(
        self,
        layers: Sequence[Sequence[Component]],
        *,
        stop_seconds: float = 30.0,
        systemd: Systemd | None = None,
        world: World | None = None,
    ) -> None:
        self._world = world or World()
        self._clock = self._world.clock
        self._stop_seconds = stop_seconds
        self._systemd = systemd or Systemd()
        self._layers = [_Layer([_Unit(c, self._clock, self._report) for c in layer]) for layer in layers]
        self._stopping = anyio.Event()
        self._cut = anyio.Event()
        self._fault: OperatorError | None = None
        self._reported = ""
        self._was_ready = False

    @property
    def ready(self) -> bool:
        """Whether every component serves now."""
        return all(unit.phase == "ready" for unit in self._units())

    def states(self) -> list[State]:
        return [unit.state() for unit in self._units()]

    def stop(self) -> None:
        """What the first signal does."""
        self._stopping.set()

    async def run(self) -> None:
        """Until stopped by a signal or `stop()`. Raises the OperatorError that prevented the start."""
        with self._world.signals() as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._obey, signals)
                tasks.start_soon(self._pulse)
                below: list[_Unit] = []
                for layer in self._layers:
                    for unit in layer.units:
                        tasks.start_soon(self._supervise, unit, layer, tuple(below))
                    below += layer.units
                await self._stopping.wait()
                log.info("stopping")
                self._systemd.notify(STOPPING=1, STATUS="stopping", EXTEND_TIMEOUT_USEC=self._stop_usec())
                for layer in reversed(self._layers):
                    await self._stop_layer(layer)
                tasks.cancel_scope.cancel()
        log.info("stopped")
        if self._fault is not None:
            raise self._fault

    async def _supervise(self, unit: _Unit, layer: _Layer, below: Sequence[_Unit]) -> None:
        structlog.contextvars.bind_contextvars(component=unit.component.name)
        backoff = Backoff(self._world.jitter)
        with unit.scope:
            for lower in below:
                if not lower.first_ready.is_set():
                    unit.move("waiting", f"waits for {lower.component.name}")
                    await lower.first_ready.wait()
            while not layer.stop.is_set():
                error = await self._run_once(unit, layer.stop)
                if error is not None:
                    await self._after_failure(unit, layer.stop, error, backoff)
        unit.move("ended", unit.reason)
        unit.ended.set()

    async def _run_once(self, unit: _Unit, stop: anyio.Event) -> BaseException | None:
        """None when it ended because it was asked to; otherwise why it ended."""
        unit.move("starting", unit.reason if unit.restarts else "")
        try:
            await unit.component.run(stop, task_status=unit)
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            # A library cancelled its own task and let the exception out: nobody asked this component to end.
            return RuntimeError(f"cancelled from within {error}".rstrip())
        except Exception as error:
            return error
        return None if stop.is_set() else RuntimeError("ended without being asked to")

    async def _after_failure(self, unit: _Unit, stop: anyio.Event, error: BaseException, backoff: Backoff) -> None:
        fault = _operator_fault(error)
        if fault is not None and not unit.first_ready.is_set():
            unit.move("failed", str(fault))
            if self._fault is None:
                self._fault = fault
            else:
                log.error("failed", reason=str(fault))
            self._stopping.set()
            await stop.wait()
            return
        reason = _one_line(error)
        log.debug("traceback", exc_info=error)
        if stop.is_set():
            log.warning("failed while stopping", reason=reason)
            return
        away = any(isinstance(leaf, Unavailable) for leaf in leaves(error))
        seconds = backoff.delay(unit.healthy_seconds(), dependency=away)
        unit.restarts += 1
        unit.move("failed", reason, next_try=self._clock.now() + seconds)
        log.warning("failed", reason=reason, retry_seconds=round(seconds, 1))
        await _first_of(lambda: self._clock.sleep(seconds), stop.wait)

    async def _stop_layer(self, layer: _Layer) -> None:
        layer.stop.set()
        for unit in layer.units:
            if unit.phase == "ready":
                unit.move("stopping")
            elif unit.phase in ("waiting", "starting"):
                unit.scope.cancel()  # it serves nobody yet: there is nothing to finish

        async def all_ended() -> None:
            for unit in layer.units:
                await unit.ended.wait()

        async def cut() -> None:
            await _first_of(lambda: self._clock.sleep(self._stop_seconds), self._cut.wait)
            late = [unit for unit in layer.units if not unit.ended.is_set()]
            log.warning("cut", components=", ".join(unit.component.name for unit in late))
            for unit in late:
                unit.scope.cancel()
            await anyio.sleep_forever()

        await _first_of(all_ended, cut)

    async def _obey(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if not self._stopping.is_set():
                log.info("signal", signal=number.name)
                self._stopping.set()
            elif not self._cut.is_set():
                log.warning("second signal: cutting", signal=number.name)
                self._cut.set()
            else:
                self._world.abort(1)

    async def _pulse(self) -> None:
        """Keeps systemd's watchdog quiet, and its start timeout away while a dependency is missing."""
        watchdog = self._systemd.watchdog_seconds
        seconds = min(_PULSE_SECONDS, watchdog / 2) if watchdog else _PULSE_SECONDS
        while True:
            if watchdog:
                self._systemd.notify(WATCHDOG=1)
            if not self._was_ready and not self._stopping.is_set():
                self._systemd.notify(EXTEND_TIMEOUT_USEC=int(3 * _PULSE_SECONDS * 1e6))
            await self._clock.sleep(seconds)

    def _report(self) -> None:
        """Tells systemd when the whole changes; READY once, at the first time."""
        if self._stopping.is_set():
            return
        lacking = [f"{s.name}: {s.reason or s.phase}" for s in self.states() if s.phase != "ready"]
        status = "not ready: " + "; ".join(lacking) if lacking else "ready"
        if status == self._reported:
            return
        self._reported = status
        if lacking or self._was_ready:
            self._systemd.notify(STATUS=status)
        else:
            self._was_ready = True
            self._systemd.notify(READY=1, STATUS=status)
            log.info("all ready", component="runner")

    def _units(self) -> list[_Unit]:
        return [unit for layer in self._layers for unit in layer.units]

    def _stop_usec(self) -> int:
        return int((self._stop_seconds + 3 * _PULSE_SECONDS) * 1e6)


async def _first_of(*functions: Callable[[], Awaitable[object]]) -> None:
    """Runs them all until one returns, and cancels the others."""
    async with anyio.create_task_group() as tasks:

        async def run(function: Callable[[], Awaitable[object]]) -> None:
            await function()
            tasks.cancel_scope.cancel()

        for function in functions:
            tasks.start_soon(run, function)


def _operator_fault(error: BaseException) -> OperatorError | None:
    """The OperatorError in it, also at the bottom of a group of a component's own tasks."""
    return next((leaf for leaf in leaves(error) if isinstance(leaf, OperatorError)), None)


def _one_line(error: BaseException) -> str:
    """Our own errors say what is the matter; anything else is a bug and names its place too."""
    leaf = leaves(error)[0]
    if isinstance(leaf, KannonError):
        return " ".join(str(leaf).split())
    frames = traceback.extract_tb(leaf.__traceback__)
    return f"{describe(leaf)} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else describe(leaf)
