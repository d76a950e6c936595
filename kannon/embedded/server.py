"""The common part of both child servers: start, supervise, stop.

In: a data directory whose lock the caller holds (DataDir). Out: a child process that answers, at `url`.
`run` is for the runner and restarts nothing by itself; `start`, `wait` and `stop` are for other callers.
Raises OperatorError for faults that only the operator can correct, Unavailable for faults that may be temporary.
"""

import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.embedded import logfile
from kannon.embedded.child import Child, ProcessSpec, spawn
from kannon.embedded.data_dir import hand_over
from kannon.errors import OperatorError, Unavailable

_START_SECONDS: Final = 120.0
"""Long enough for a recovery after a crash, which reads max_wal_size of WAL, or the streams' files, once."""
_POLL_SECONDS: Final = 0.01

log = structlog.get_logger()


class Server(ABC):
    """A supervised server. Subclasses define how it is prepared and when it answers."""

    name: ClassVar[str]
    title: ClassVar[str]
    stop_steps: ClassVar[Sequence[tuple[signal.Signals, float]]]

    def __init__(self, data_dir: Path) -> None:
        if sys.platform != "linux":
            raise OperatorError("the embedded servers need Linux: set postgres.url and nats.url to servers of your own")
        self._data_dir = data_dir.resolve()
        self._home = self._data_dir / self.name
        self._conf = self._data_dir / "conf"
        self._log = self._data_dir / "logs" / f"{self.name}.log"
        self._child: Child | None = None
        self._has_served = False

    @property
    @abstractmethod
    def url(self) -> str:
        """Constant from construction on, also over restarts."""

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Starts, serves until `stop`, stops. Raises Unavailable when the server dies or needs a restart."""
        child = await self._start()
        try:
            task_status.started()
            reason = ""

            async def watch() -> None:
                nonlocal reason
                reason = await self._watch()
                tasks.cancel_scope.cancel()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_at_end, child, tasks.cancel_scope)
                tasks.start_soon(watch)
                await stop.wait()
                tasks.cancel_scope.cancel()
            if reason and not stop.is_set():
                raise Unavailable(f"{self.title} needs a restart: {reason}")
            if not stop.is_set():
                raise Unavailable(f"{self.title} ended unexpectedly ({child.describe_end()}): see {self._log}")
        finally:
            await self.stop()

    async def start(self) -> None:
        """Returns when the server answers. Stops a stale process of an earlier run on the same data first.

        Raises OperatorError for the operator's faults, Unavailable if the server does not start.
        """
        await self._start()

    async def wait(self) -> int:
        """Returns the exit code when the server has ended."""
        if self._child is None:
            raise Unavailable(f"{self.title} is not running")
        return await self._child.wait()

    async def stop(self) -> None:
        """Stops the server within 20 s, at last by SIGKILL; does nothing where it does not run."""
        if self._child is not None:
            await self._child.stop(self.stop_steps)
            self._child = None

    @abstractmethod
    async def _prepare(self) -> ProcessSpec:
        """The work before the child is spawned; an OSError in it is the operator's fault."""

    @abstractmethod
    async def _answers(self, child: Child) -> bool:
        """Whether it serves clients already."""

    async def _watch(self) -> str:
        """Returns why the running server needs a restart; waits for as long as it needs none."""
        await anyio.sleep_forever()
        raise AssertionError

    async def _start(self) -> Child:
        try:
            self._log.parent.mkdir(mode=0o700, exist_ok=True)
            # Under root the children run as another user and read their settings here; secrets are 0600.
            self._conf.mkdir(mode=0o711, exist_ok=True)
            self._log.touch(mode=0o600)
            for path in (self._log.parent, self._conf, self._log):
                hand_over(path)
            spec = await self._prepare()
            offset = logfile.begin(self._log)
        except OSError as error:
            problem = f"{self._home} cannot be used: {error.strerror}"
            # A disk that is full at a restart may have room again soon.
            raise Unavailable(problem) if self._has_served else OperatorError(problem) from None
        log.info(f"starting {self.title}; waiting until it answers")
        self._child = spawn(spec)
        try:
            await self._until_answering(self._child, offset)
        except BaseException:
            await self.stop()
            raise
        self._has_served = True
        return self._child

    async def _until_answering(self, child: Child, offset: int) -> None:
        with anyio.move_on_after(_START_SECONDS):
            while not await self._answers(child):
                if child.ended():
                    problem = logfile.last_problem(self._log, offset) or child.describe_end()
                    raise Unavailable(f"{self.title} does not start: {problem}")
                await anyio.sleep(_POLL_SECONDS)
            return
        raise Unavailable(f"{self.title} does not answer after {_START_SECONDS:.0f} s: see {self._log}")


async def _cancel_at_end(child: Child, scope: anyio.CancelScope) -> None:
    await child.wait()
    scope.cancel()
