"""Scatter-gather over core NATS: one request to all processes, and their replies within a short time.

In: a subject, and for the replying side a function that makes the reply. Out: the replies that arrived in time. Their
number is not known beforehand; a process that is away is missing from them.
"""

from collections.abc import Callable

import anyio
import structlog
from nats.aio.msg import Msg

from kannon.bus.connection import Connection, unavailable
from kannon.errors import Unavailable

log = structlog.get_logger()

REPLY_SECONDS = 0.5


async def gather(
    connection: Connection, subject: str, question: bytes = b"", *, enough: Callable[[bytes], bool] | None = None
) -> list[bytes]:
    """`enough` is given each reply and ends the wait. Raises Unavailable."""
    await connection.open()
    client = connection.client
    replies: list[bytes] = []
    done = anyio.Event()

    async def arrived(message: Msg) -> None:
        if message.headers:  # status 503: nothing is subscribed
            done.set()
        else:
            replies.append(message.data)
            if enough is not None and enough(message.data):
                done.set()

    inbox = client.new_inbox()
    with unavailable():
        subscription = await client.subscribe(inbox, cb=arrived)
        try:
            await client.publish(subject, question, reply=inbox)
            with anyio.move_on_after(REPLY_SECONDS):
                await done.wait()
        finally:
            await connection.end(subscription)
    return replies


async def reply_to_gather(connection: Connection, subject: str, reply: Callable[[], bytes]) -> None:
    """Until cancelled."""

    async def arrived(message: Msg) -> None:
        if message.reply:
            try:
                await connection.send(message.reply, reply())
            except Unavailable as error:
                log.debug("reply lost", subject=message.subject, why=str(error))

    async with connection.subscribed(subject, arrived):
        await anyio.sleep_forever()
