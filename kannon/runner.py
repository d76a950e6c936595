"""Runs the components of one process: starts them, restarts each alone when it fails, stops them in two steps.

In: layers of components, lowest first. Out: `run` returns after a signal, when every component has ended, or raises the
OperatorError that ended the process.

    a layer starts      when every component of the layers below has been ready once
    a component fails   the runner restarts it alone after 0.5 s … 30 s: doubling, jittered, back to the shortest wait
                        after a healthy minute; at most 2 s when a dependency is unavailable
    an OperatorError    ends the process if the component was never ready; later it is a failure like any other
    SIGTERM, SIGINT     first: stops the layers from the top down. A component that is not ready is cancelled at once,
                        the others at the deadline. Second: cancels all now. Third: exits at once with code 1
    exit                code 0 after a requested stop, even if components were cancelled: no mail is lost, and a
                        warning names them
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
MAX_DEPENDENCY_DELAY_SECONDS: Final = 2.0
_KEEP_ALIVE_SECONDS: Final = 10.0

Phase = Literal["waiting", "starting", "ready", "failed", "stopping", "ended"]


class Component(Protocol):
    """A part of the process. `run` reports started when it serves, and returns soon after `stop` is set."""

    @property
    def name(self) -> str: ...

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None: ...


class Clock(Protocol):
    """A clock that tests can replace."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class EventLoopClock:
    """The event loop's monotonic time."""

    def now(self) -> float:
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class Notifier(Protocol):
    """Who is told the state of the process: systemd, or the process that started this one. See kannon.systemd."""

    @property
    def watchdog_seconds(self) -> float | None: ...
    def notify(self, **fields: str | int) -> None: ...


def receive_signals() -> AbstractContextManager[AsyncIterator[signal.Signals]]:
    """Receives SIGTERM and SIGINT. While the context is open they have no other effect."""
    return anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Environment:
    """Clock, randomness, signals and exit, which tests replace."""

    clock: Clock = field(default_factory=EventLoopClock)
    jitter: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    signals: Callable[[], AbstractContextManager[AsyncIterator[signal.Signals]]] = receive_signals
    abort: Callable[[int], object] = os._exit


@dataclass(frozen=True, slots=True)
class State:
    """The state of one component, for health checks. `retry_seconds`: until the next start, if one is due."""

    name: str
    phase: Phase
    reason: str = ""
    retry_seconds: float | None = None
    restarts: int = 0


class Backoff:
    """The wait before each restart: doubles from 1 s to 30 s, less up to half by jitter."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._next_seconds = FIRST_DELAY_SECONDS

    def delay(self, healthy_seconds: float, *, dependency: bool = False) -> float:
        """Seconds to wait after a failure. `healthy_seconds`: how long the component was ready before it.

        With `dependency` the failure is an unavailable server. The wait stays at a few seconds, so that the component
        starts soon after the server returns.
        """
        if healthy_seconds >= HEALTHY_SECONDS:
            self._next_seconds = FIRST_DELAY_SECONDS
        limit = MAX_DEPENDENCY_DELAY_SECONDS if dependency else MAX_DELAY_SECONDS
        full = min(self._next_seconds, limit)
        self._next_seconds = min(full * 2, limit)
        return full * (0.5 + 0.5 * self._jitter())


@dataclass(eq=False)
class _Unit:
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
class _Layer:
    units: list[_Unit]
    stop: anyio.Event = field(default_factory=anyio.Event)


class Runner:
    """Owns the task group of the process. `run` may be called once."""

    def __init__(
        self,
        layers: Sequence[Sequence[Component]],
        *,
        stop_seconds: float = 30.0,
        systemd: Notifier | None = None,
        environment: Environment | None = None,
    ) -> None:
        self._environment = environment or Environment()
        self._clock = self._environment.clock
        self._stop_seconds = stop_seconds
        self._systemd: Notifier = systemd or Systemd()
        self._layers = [_Layer([_Unit(c, self._clock, self._report) for c in layer]) for layer in layers]
        self._stopping = anyio.Event()
        self._cancel = anyio.Event()
        self._error: OperatorError | None = None
        self._reported = ""
        self._was_ready = False

    @property
    def ready(self) -> bool:
        """Whether every component is ready now."""
        return all(unit.phase == "ready" for unit in self._units())

    def states(self) -> list[State]:
        return [unit.state() for unit in self._units()]

    def stop(self) -> None:
        """Has the effect of the first signal."""
        self._stopping.set()

    async def run(self) -> None:
        """Returns after a signal or `stop()`. Raises the OperatorError that prevented the start."""
        with self._environment.signals() as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._handle_signals, signals)
                tasks.start_soon(self._keep_alive)
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
        if self._error is not None:
            raise self._error

    async def _supervise(self, unit: _Unit, layer: _Layer, below: Sequence[_Unit]) -> None:
        structlog.contextvars.bind_contextvars(component=unit.component.name)
        backoff = Backoff(self._environment.jitter)
        with unit.scope:
            for lower in below:
                if not lower.first_ready.is_set():
                    unit.move("waiting", f"waiting for {lower.component.name}")
                    await lower.first_ready.wait()
            while not layer.stop.is_set():
                error = await self._run_once(unit, layer.stop)
                if error is not None:
                    await self._after_failure(unit, layer.stop, error, backoff)
        unit.move("ended", unit.reason)
        unit.ended.set()

    async def _run_once(self, unit: _Unit, stop: anyio.Event) -> BaseException | None:
        """Returns None after a requested end, otherwise the reason of the end."""
        unit.move("starting", unit.reason if unit.restarts else "")
        try:
            await unit.component.run(stop, task_status=unit)
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            # A library cancelled its own task and the exception escaped: the runner did not cancel this component.
            return RuntimeError(f"cancelled by its own code {error}".rstrip())
        except Exception as error:
            return error
        return None if stop.is_set() else RuntimeError("ended without a stop")

    async def _after_failure(self, unit: _Unit, stop: anyio.Event, error: BaseException, backoff: Backoff) -> None:
        operator_error = _operator_error(error)
        if operator_error is not None and not unit.first_ready.is_set():
            unit.move("failed", str(operator_error))
            if self._error is None:
                self._error = operator_error
            else:
                log.error("failed", reason=str(operator_error))
            self._stopping.set()
            await stop.wait()
            return
        reason = _one_line(error)
        log.debug("traceback", exc_info=error)
        if stop.is_set():
            log.warning("failed while stopping", reason=reason)
            return
        unavailable = any(isinstance(leaf, Unavailable) for leaf in leaves(error))
        seconds = backoff.delay(unit.healthy_seconds(), dependency=unavailable)
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
                unit.scope.cancel()  # it does not serve yet, so it has no work to finish

        async def all_ended() -> None:
            for unit in layer.units:
                await unit.ended.wait()

        async def cancel_late() -> None:
            await _first_of(lambda: self._clock.sleep(self._stop_seconds), self._cancel.wait)
            late = [unit for unit in layer.units if not unit.ended.is_set()]
            log.warning("cancelled at the stop", components=", ".join(unit.component.name for unit in late))
            for unit in late:
                unit.scope.cancel()
            await anyio.sleep_forever()

        await _first_of(all_ended, cancel_late)

    async def _handle_signals(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if not self._stopping.is_set():
                log.info("signal", signal=number.name)
                self._stopping.set()
            elif not self._cancel.is_set():
                log.warning("second signal: cancelling", signal=number.name)
                self._cancel.set()
            else:
                self._environment.abort(1)

    async def _keep_alive(self) -> None:
        """Feeds systemd's watchdog, and extends the start timeout while a dependency is unavailable."""
        watchdog = self._systemd.watchdog_seconds
        seconds = min(_KEEP_ALIVE_SECONDS, watchdog / 2) if watchdog else _KEEP_ALIVE_SECONDS
        while True:
            if watchdog:
                self._systemd.notify(WATCHDOG=1)
            if not self._was_ready and not self._stopping.is_set():
                self._systemd.notify(EXTEND_TIMEOUT_USEC=int(3 * _KEEP_ALIVE_SECONDS * 1e6))
            await self._clock.sleep(seconds)

    def _report(self) -> None:
        """Reports changes to systemd; READY once, when all components are ready."""
        if self._stopping.is_set():
            return
        not_ready = [f"{s.name}: {s.reason or s.phase}" for s in self.states() if s.phase != "ready"]
        status = "not ready: " + "; ".join(not_ready) if not_ready else "ready"
        if status == self._reported:
            return
        self._reported = status
        if not_ready or self._was_ready:
            self._systemd.notify(STATUS=status)
        else:
            self._was_ready = True
            self._systemd.notify(READY=1, STATUS=status)
            log.info("all ready", component="runner")

    def _units(self) -> list[_Unit]:
        return [unit for layer in self._layers for unit in layer.units]

    def _stop_usec(self) -> int:
        return int((self._stop_seconds + 3 * _KEEP_ALIVE_SECONDS) * 1e6)


async def _first_of(*functions: Callable[[], Awaitable[object]]) -> None:
    """Runs all functions until one returns, then cancels the others."""
    async with anyio.create_task_group() as tasks:

        async def run(function: Callable[[], Awaitable[object]]) -> None:
            await function()
            tasks.cancel_scope.cancel()

        for function in functions:
            tasks.start_soon(run, function)


def _operator_error(error: BaseException) -> OperatorError | None:
    """The OperatorError in `error`, which may be a group of a component's task group."""
    return next((leaf for leaf in leaves(error) if isinstance(leaf, OperatorError)), None)


def _one_line(error: BaseException) -> str:
    """A KannonError explains itself. Any other error is a bug, so its file and line are added."""
    leaf = leaves(error)[0]
    if isinstance(leaf, KannonError):
        return " ".join(str(leaf).split())
    frames = traceback.extract_tb(leaf.__traceback__)
    return f"{describe(leaf)} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else describe(leaf)
