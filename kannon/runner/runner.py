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
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import anyio
import structlog

from kannon.errors import OperatorError, Unavailable
from kannon.log import leaves
from kannon.runner.backoff import Backoff
from kannon.runner.environment import Environment, Notifier
from kannon.runner.failures import explain, find_operator_error
from kannon.runner.unit import Component, Layer, State, Unit
from kannon.systemd import Systemd

log = structlog.get_logger()

_KEEP_ALIVE_SECONDS: Final = 10.0


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
        self._layers = [Layer([Unit(c, self._clock, self._report) for c in layer]) for layer in layers]
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
                below: list[Unit] = []
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

    async def _supervise(self, unit: Unit, layer: Layer, below: Sequence[Unit]) -> None:
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

    async def _run_once(self, unit: Unit, stop: anyio.Event) -> BaseException | None:
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

    async def _after_failure(self, unit: Unit, stop: anyio.Event, error: BaseException, backoff: Backoff) -> None:
        operator_error = find_operator_error(error)
        if operator_error is not None and not unit.first_ready.is_set():
            unit.move("failed", str(operator_error))
            if self._error is None:
                self._error = operator_error
            else:
                log.error("failed", reason=str(operator_error))
            self._stopping.set()
            await stop.wait()
            return
        reason = explain(error)
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

    async def _stop_layer(self, layer: Layer) -> None:
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

    def _units(self) -> list[Unit]:
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
