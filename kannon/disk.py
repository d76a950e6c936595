"""Watches the free space of the file system that holds the data directory.

In: a path and `disk.reserve`. Out: `usage`, the last reading, and `check`, which raises DiskLow while less than the
reserve is free. Sends are refused then, before the disk is full; deliveries that are accepted go on. The readings are
taken in a thread, since a file system may hang.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskStatus

from kannon.config import reserve_bytes
from kannon.errors import DiskLow

READ_SECONDS: Final = 1.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """Bytes. `free`: available to the servers, which are not root."""

    free: int
    total: int
    reserve: int


class DiskWatch:
    """A component for the runner: the lowest one, so that the first reading precedes the first send."""

    name = "disk"

    def __init__(self, path: Path, reserve: str) -> None:
        """`reserve` as in the configuration: a percentage of the file system, or a size."""
        self.path = path
        self._reserve = reserve
        self.usage: DiskUsage | None = None

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Raises OSError when the file system cannot be asked."""
        low = False
        self.usage = await to_thread.run_sync(self._read, abandon_on_cancel=True)
        task_status.started()
        while not stop.is_set():
            was_low, low = low, self.usage.free < self.usage.reserve
            if low and not was_low:
                log.warning("disk is low; sends are refused", path=str(self.path), free=self.usage.free)
            elif was_low and not low:
                log.info("disk has room again; sends are accepted", path=str(self.path), free=self.usage.free)
            with anyio.move_on_after(READ_SECONDS):
                await stop.wait()
            self.usage = await to_thread.run_sync(self._read, abandon_on_cancel=True)

    def check(self) -> None:
        """Raises DiskLow."""
        usage = self.usage
        if usage is not None and usage.free < usage.reserve:
            raise DiskLow(
                f"the server's disk is low: {usage.free >> 20} MiB are free, and disk.reserve ({self._reserve}) keeps "
                f"{usage.reserve >> 20} MiB; try again later"
            )

    def _read(self) -> DiskUsage:
        found = os.statvfs(self.path)
        total = found.f_blocks * found.f_frsize
        return DiskUsage(found.f_bavail * found.f_frsize, total, reserve_bytes(self._reserve, total))
