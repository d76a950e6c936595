"""The component that starts further processes of this program, restarts each alone, and stops them in two steps.

In: an order for each, and whether to start them at once or as the load grows. Out: running processes; their state for
health checks, their metrics. The kernel ends them when this process ends, however it ends.

    a process ends      it is started again after 0.5 s … 30 s, as the runner does with a component
    stop                SIGTERM: it finishes its open work. Cancelled: a second SIGTERM, and SIGKILL 5 s later
    the load grows      another one starts while those that run use more than BUSY of a core for GROW_SECONDS;
                        the last one ends when the others would be idle without it for SHRINK_SECONDS
"""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import structlog
from anyio.abc import TaskStatus
from prometheus_client import Metric

from kannon.embedded.child import Child, prepare
from kannon.errors import OperatorError
from kannon.metrics.load import Load
from kannon.processes.child import ASK_METRICS
from kannon.processes.division import Order
from kannon.processes.link import Link
from kannon.processes.totals import add_up, only_counted
from kannon.runner.backoff import Backoff

log = structlog.get_logger()

BUSY: Final = 0.6
IDLE: Final = 0.15
MEASURE_SECONDS: Final = 2.0
GROW_SECONDS: Final = 6.0
SHRINK_SECONDS: Final = 600.0
METRICS_SECONDS: Final = 1.0
KILL_SECONDS: Final = 5.0
READY: Final = "ready"


@dataclass(eq=False)
class _Process:
    """One place for a further process, over its restarts. `wanted` is set while one should run."""

    order: Order
    wanted: anyio.Event = field(default_factory=anyio.Event)
    unwanted: anyio.Event = field(default_factory=anyio.Event)
    child: Child | None = None
    link: Link | None = None
    status: str = "not started"
    seen_ready: bool = False
    ready_since: float | None = None
    restarts: int = 0
    metrics: Sequence[Metric] = ()
    reported: anyio.Event = field(default_factory=anyio.Event)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def move(self, status: str) -> None:
        self.status = status
        self.ready_since = (self.ready_since or anyio.current_time()) if status == READY else None
        self.seen_ready = self.seen_ready or status == READY
        self.changed.set()
        self.changed = anyio.Event()

    def want(self) -> None:
        if not self.wanted.is_set():
            self.wanted.set()
            self.unwanted = anyio.Event()

    def refuse(self) -> None:
        if self.wanted.is_set():
            self.wanted = anyio.Event()
            self.unwanted.set()


class Processes:
    """`before_start` returns when the first one may start. `at_once`: all start with this component, which is ready
    when they are; otherwise none does, and it is ready at once."""

    name = "processes"

    def __init__(
        self,
        orders: Sequence[Order],
        *,
        at_once: bool,
        before_start: Callable[[], Awaitable[object]],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._orders = orders
        self._at_once = at_once
        self._before_start = before_start
        self._jitter = jitter
        self._processes: list[_Process] = []
        self._ended: list[Metric] = []

    @property
    def wanted(self) -> int:
        return sum(each.wanted.is_set() for each in self._processes)

    @property
    def ready(self) -> int:
        return sum(each.status == READY for each in self._processes)

    @property
    def restarts(self) -> int:
        return sum(each.restarts for each in self._processes)

    def lacking(self) -> list[str]:
        """Those that should be ready and are not. One that the load has called is missed once it has been ready."""
        return [
            f"process {each.order.number}"
            for each in self._processes
            if each.wanted.is_set() and each.status != READY and (self._at_once or each.seen_ready)
        ]

    async def metrics(self) -> list[list[Metric]]:
        """Of each process, as old as its last answer; and of those that have ended, what they counted."""
        async with anyio.create_task_group() as group:
            for each in self._processes:
                if each.link is not None:
                    group.start_soon(_ask, each)
        return [self._ended, *[list(each.metrics) for each in self._processes]]

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Starts nothing before the servers answer; runs until the last one has ended."""
        await self._before_start()
        self._processes = [_Process(order) for order in self._orders]
        async with anyio.create_task_group() as group, anyio.create_task_group() as watch:
            for each in self._processes:
                if self._at_once:
                    each.want()
                group.start_soon(self._keep, each, stop)
            if self._at_once:
                for each in self._processes:
                    while each.status != READY:
                        await each.changed.wait()
            else:
                watch.start_soon(self._follow_load)
            task_status.started()
            await stop.wait()
            watch.cancel_scope.cancel()

    async def _keep(self, process: _Process, stop: anyio.Event) -> None:
        """One process, again each time that it ends, until `stop`."""
        structlog.contextvars.bind_contextvars(process=process.order.number)
        backoff = Backoff(self._jitter)
        while not stop.is_set():
            await _first(process.wanted, stop)
            if stop.is_set():
                return
            healthy = await self._run_once(process, stop)
            if stop.is_set() or process.unwanted.is_set():
                process.move("not started")
                continue
            process.restarts += 1
            seconds = backoff.delay(healthy)
            log.warning("process failed", reason=process.status, retry_seconds=round(seconds, 1))
            with anyio.move_on_after(seconds):
                await _first(stop, process.unwanted)

    async def _run_once(self, process: _Process, stop: anyio.Event) -> float:
        """Returns for how long it was ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            child = process.child = start(process.order.number, theirs)
        process.move("starting")
        log.info("process started", pid=child.pid)
        healthy = 0.0
        try:
            link = process.link = await Link.open(ours)
            link.send(process.order)
            async with anyio.create_task_group() as group:
                group.start_soon(_stop_child, child, stop, process.unwanted)
                await _listen(process, link)
                await child.wait()
                group.cancel_scope.cancel()
        finally:
            if process.ready_since is not None:
                healthy = anyio.current_time() - process.ready_since
            process.link = None
            await child.stop(((signal.SIGTERM, KILL_SECONDS),))
            with anyio.CancelScope(shield=True):
                await link.close()
            process.move(child.describe_end())
            process.child = None
            self._ended = add_up([self._ended, only_counted(process.metrics)])
            process.metrics = ()
        return healthy

    async def _follow_load(self) -> None:
        load, busy_since, idle_since = Load(), None, None
        while True:
            running = [each.child.pid for each in self._processes if each.child is not None]
            now = anyio.current_time()
            mean = load.measure([os.getpid(), *running], now)
            wanted = self.wanted
            all_ready = self.ready == wanted
            busy_since = (busy_since or now) if mean > BUSY and all_ready else None
            idle_since = (idle_since or now) if wanted and mean * (wanted + 1) / wanted < IDLE else None
            if busy_since is not None and now - busy_since >= GROW_SECONDS and wanted < len(self._processes):
                log.info("another process starts, because the others are busy", busy=round(mean, 2))
                self._processes[wanted].want()
                busy_since = None
            elif idle_since is not None and now - idle_since >= SHRINK_SECONDS:
                log.info("a process ends, because the others are idle", busy=round(mean, 2))
                self._processes[wanted - 1].refuse()
                idle_since = None
            await anyio.sleep(MEASURE_SECONDS)


def start(number: int, stdin: socket.socket) -> Child:
    """Call it in the thread of the event loop (see kannon.embedded.child). Raises OperatorError."""
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "kannon"]
    try:
        process = subprocess.Popen(
            [*program, "serve", "--process", str(number)],
            env=_environ(os.environ),
            stdin=stdin.fileno(),
            # A terminal's Ctrl-C reaches the whole foreground group; this process stops the others itself.
            process_group=0,
            preexec_fn=prepare(None, signal.SIGKILL),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OperatorError(f"{sys.executable} cannot be started: {error}") from None
    return Child(process)


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what systemd has for this process only."""
    return {
        name: value
        for name, value in environ.items()
        if name != "NOTIFY_SOCKET" and not name.startswith(("WATCHDOG_", "LISTEN_"))
    }


async def _listen(process: _Process, link: Link) -> None:
    """Until the other end is gone."""
    while (message := await link.receive()) is not None:
        if isinstance(message, str):
            process.move(message)
        else:
            process.metrics = message
            process.reported.set()
            process.reported = anyio.Event()


async def _ask(process: _Process) -> None:
    if process.link is not None:
        process.link.send(ASK_METRICS)
        with anyio.move_on_after(METRICS_SECONDS):
            await process.reported.wait()


async def _stop_child(child: Child, *events: anyio.Event) -> None:
    await _first(*events)
    if not child.ended():
        child.terminate()


async def _first(*events: anyio.Event) -> None:
    async with anyio.create_task_group() as group:

        async def wait(event: anyio.Event) -> None:
            await event.wait()
            group.cancel_scope.cancel()

        for event in events:
            group.start_soon(wait, event)
