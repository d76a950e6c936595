"""Notices that a wall clock jumps, by comparing it with a steady one.

In: readings of both. Out: the size of a jump. A clock that NTP slews drifts by less than a millisecond a second and
does not count. The steady clock goes on while the machine is suspended, so waking up is no jump.
"""

import time
from collections.abc import Callable
from typing import Final

import anyio
import structlog
from anyio.abc import TaskStatus

READ_SECONDS: Final = 1.0
JUMP_SECONDS: Final = 2.0

log = structlog.get_logger()


def steady() -> float:
    """Seconds. Unlike time.monotonic, it counts those of a suspended machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class JumpMeter:
    """Of one wall clock."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def update(self, wall: float, steady: float) -> float:
        """The seconds by which the wall clock has jumped since the last reading, negative where it went back; 0 for
        less than JUMP_SECONDS."""
        before, self._offset = self._offset, wall - steady
        jump = 0.0 if before is None else self._offset - before
        return jump if abs(jump) >= JUMP_SECONDS else 0.0


class ClockWatch:
    """A component for the runner: logs each jump of this machine's clock."""

    name = "clock"

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady) -> None:
        self._wall = wall
        self._steady = steady
        self._meter = JumpMeter()

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        self.read()
        task_status.started()
        while not stop.is_set():
            with anyio.move_on_after(READ_SECONDS):
                await stop.wait()
            self.read()

    def read(self) -> None:
        if jump := self._meter.update(self._wall(), self._steady()):
            log.warning("this machine's clock jumped", seconds=round(jump, 1))
