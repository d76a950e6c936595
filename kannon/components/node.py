"""node: answers for its process when the api asks who is there (`kannon nodes`).

In: the components' states, the process's use of a core, the sender's attempts. Out: replies on core NATS. While NATS is
away nothing asks, so it waits; no mail depends on it.
"""

import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon import __version__
from kannon.errors import Unavailable
from kannon.mail.node import Node
from kannon.metrics.load import Load

log = structlog.get_logger()

MEASURE_SECONDS = 10.0
RETRY_SECONDS = 2.0


class ComponentState(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def phase(self) -> str: ...


class Bus(Protocol):
    async def serve_node(self, describe: Callable[[], Node]) -> None: ...


class NodeReply:
    """`process`: its number; `attempts` counts the mails that its sender has tried."""

    name = "node"

    def __init__(
        self,
        bus: Bus,
        process: int,
        components: Sequence[str],
        states: Callable[[], Sequence[ComponentState]],
        attempts: Callable[[], int],
        clock: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._process = process
        self._components = tuple(components)
        self._states = states
        self._attempts = attempts
        self._started_at = clock()
        self._load = Load()
        self._cpu = 0.0
        self._per_second = 0.0

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._serve)
            group.start_soon(self._measure)
            task_status.started()
            await stop.wait()
            group.cancel_scope.cancel()

    def describe(self) -> Node:
        return Node(
            host=socket.gethostname(),
            pid=os.getpid(),
            process=self._process,
            components=self._components,
            not_ready=tuple(
                state.name for state in self._states() if state.name in self._components and state.phase != "ready"
            ),
            started_at=self._started_at,
            cpu=self._cpu,
            attempts_per_second=self._per_second,
            version=__version__,
        )

    async def _serve(self) -> None:
        while True:
            try:
                await self._bus.serve_node(self.describe)
            except Unavailable as error:
                log.debug("cannot answer for this process; retrying", why=str(error))
            await anyio.sleep(RETRY_SECONDS)

    async def _measure(self) -> None:
        last = self._attempts()
        while True:
            self._cpu = self._load.measure([os.getpid()], anyio.current_time())
            self._per_second = (self._attempts() - last) / MEASURE_SECONDS
            last = self._attempts()
            await anyio.sleep(MEASURE_SECONDS)
