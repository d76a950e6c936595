"""Notifications between components over core NATS: there is work, look at once instead of at the next poll.

A notification may be lost, for nothing stores it: polling is the safety net, so publishing one raises nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import structlog

from kannon.bus.connection import Connection
from kannon.errors import Unavailable

log = structlog.get_logger()


class Notification:
    """`wait` returns at the notification, or after the poll interval."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()


async def notify(connection: Connection, subject: str) -> None:
    if not connection.client.is_connected:
        return
    try:
        await connection.send(subject, b"")
    except Unavailable as error:
        log.debug("notification lost", subject=subject, why=str(error))


@asynccontextmanager
async def listen(connection: Connection, subject: str, stop: anyio.Event) -> AsyncIterator[Notification]:
    """Within the block the notification is set by each message on `subject`, and by `stop`."""
    notification = Notification()

    async def arrived(_: object) -> None:
        notification.set()

    async def stopped() -> None:
        await stop.wait()
        notification.set()

    async with connection.subscribed(subject, arrived), anyio.create_task_group() as group:
        group.start_soon(stopped)
        yield notification
        group.cancel_scope.cancel()
