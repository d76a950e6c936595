"""A further process: its order, and its reports to the process that started it.

In: standard input, which is one end of a Link. Out: its state at every change, its metrics when asked and at the end.
It ends at once when the other end is gone, as a process does whose parent was killed.
"""

import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import structlog
from anyio.abc import TaskStatus
from prometheus_client import Metric

from kannon.errors import OperatorError
from kannon.processes.division import Order
from kannon.processes.link import Link, receive_blocking

log = structlog.get_logger()

ASK_METRICS: Final = "metrics"


def receive_order() -> tuple[Order, socket.socket]:
    """Raises OperatorError where no `kannon serve` has started this process."""
    try:
        end = socket.socket(fileno=os.dup(0))
        order = receive_blocking(end) if end.family == socket.AF_UNIX else None
    except OSError:
        order = None
    if not isinstance(order, Order):
        raise OperatorError("--process: only kannon serve itself starts further processes (runner.processes)")
    return order, end


class ParentLink:
    """The runner's notifier, and a component of the lowest layer, which is there from the beginning to the end."""

    name = "parent"
    watchdog_seconds = None

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._link: Link | None = None
        self._status = ""
        self.read_metrics: Callable[[], Awaitable[list[Metric]]] = _none

    def notify(self, **fields: str | int) -> None:
        """STATUS as in sd_notify(3); the other fields concern systemd only."""
        if "STATUS" in fields:
            self._status = str(fields["STATUS"])
            if self._link is not None:
                self._link.send(self._status)

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        self._link = link = await Link.open(self._end)
        link.send(self._status)
        async with anyio.create_task_group() as group:
            group.start_soon(self._answer, link)
            task_status.started()
            await stop.wait()
            group.cancel_scope.cancel()
        # This component is the last to stop, so these are the final numbers.
        link.send(await self.read_metrics())
        await link.close()

    async def _answer(self, link: Link) -> None:
        while await link.receive() == ASK_METRICS:
            link.send(await self.read_metrics())
            await link.flush()
        log.error("the process that started this one is gone")
        os._exit(1)


async def _none() -> list[Metric]:
    return []
