"""The environment of a runner under test: a clock and signals that the test controls, and scripted components."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from kannon.runner.environment import Environment
from kannon.runner.runner import Runner
from kannon.runner.unit import Component, State
from kannon.systemd import Systemd

Step = Callable[[anyio.Event, TaskStatus[None]], Awaitable[None]]
"""One call of a scripted component's `run`."""


async def settle() -> None:
    """Returns when every other task waits for something."""
    for _ in range(50):  # anyio's own wait polls only every 0.1 s, so most tasks are given their turns first
        await checkpoint()
    await anyio.wait_all_tasks_blocked()


class ManualClock:
    """Stands still until `advance`. `slept` holds every duration asked for, in order."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, anyio.Event]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        sleeper = (self.time + seconds, anyio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, seconds: float) -> None:
        """Moves the time and lets every ready task run."""
        self.time += seconds
        for due, event in list(self._sleepers):
            if due <= self.time:
                event.set()
        await settle()


class Scripted:
    """A component whose n-th `run` is the n-th step; the last step is repeated."""

    def __init__(self, name: str, *steps: Step) -> None:
        self.name = name
        self.lives = 0
        self._steps = steps

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        step = self._steps[min(self.lives, len(self._steps) - 1)]
        self.lives += 1
        await step(stop, task_status)


async def serve(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
    """Runs until the stop, without a failure."""
    task_status.started()
    await stop.wait()


async def hang(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
    """Never gets ready and ignores the stop."""
    await anyio.sleep_forever()


def fail(error: BaseException) -> Step:
    """Fails before it is ready."""

    async def step(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        raise error

    return step


def serve_until(event: anyio.Event, error: BaseException) -> Step:
    """Is ready, then fails when the test sets `event`."""

    async def step(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await event.wait()
        raise error

    return step


def stop_slowly(finish: anyio.Event) -> Step:
    """Is ready; after the stop it still waits for `finish`."""

    async def step(stop: anyio.Event, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await stop.wait()
        await finish.wait()

    return step


@dataclass
class Stage:
    """A running runner, with its clock and signals in the hands of the test."""

    runner: Runner
    clock: ManualClock
    signals: "anyio.abc.ObjectSendStream[signal.Signals]"
    aborted: list[int]
    returned: anyio.Event = field(default_factory=anyio.Event)
    error: Exception | None = None

    async def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        await self.signals.send(number)
        await settle()

    def ready(self) -> bool:
        return self.runner.ready

    def state(self, name: str) -> State:
        return next(state for state in self.runner.states() if state.name == name)


@asynccontextmanager
async def running(
    *layers: list[Component], jitter: float = 0.0, stop_seconds: float = 30.0, systemd: Systemd | None = None
) -> AsyncIterator[Stage]:
    """Runs the layers; when the block begins, every task waits. Ends the runner if the test did not."""
    clock, aborted = ManualClock(), list[int]()
    send, receive = anyio.create_memory_object_stream[signal.Signals](10)

    @contextmanager
    def signals() -> Iterator[AsyncIterator[signal.Signals]]:
        yield receive

    environment = Environment(clock=clock, jitter=lambda: jitter, signals=signals, abort=aborted.append)
    runner = Runner(layers, stop_seconds=stop_seconds, systemd=systemd, environment=environment)
    stage = Stage(runner, clock, send, aborted)

    async def run() -> None:
        try:
            await runner.run()
        except Exception as error:
            stage.error = error
        stage.returned.set()

    with send, receive:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await settle()
            yield stage
            tasks.cancel_scope.cancel()
