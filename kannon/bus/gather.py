"""Questions to all processes at once, over core NATS: whoever runs a sender says how its destinations are doing.

In: a subject and, for an answer, what to say. Out: the answers that came within a moment; how many there should be
nobody knows. Nothing is kept: who is not there is not asked.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import structlog
from nats.aio.msg import Msg

from kannon.bus.client import Connection
from kannon.errors import Unavailable

log = structlog.get_logger()

ANSWER_SECONDS = 0.5

Send = Callable[[str, bytes], Awaitable[None]]


async def ask_all(connection: Connection, subject: str) -> list[bytes]:
    """Raises what nats-py raises."""
    client = connection.client
    answers: list[bytes] = []
    nobody = anyio.Event()

    async def answered(message: Msg) -> None:
        if message.headers:  # 503: nobody listens
            nobody.set()
        else:
            answers.append(message.data)

    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=answered)
    try:
        await client.publish(subject, b"", reply=inbox)
        with anyio.move_on_after(ANSWER_SECONDS):
            await nobody.wait()
    finally:
        await connection.end(subscription)
    return answers


def answering(send: Send, say: Callable[[], bytes]) -> Callable[[Msg], Coroutine[Any, Any, None]]:
    """A subscription's callback."""

    async def asked(message: Msg) -> None:
        if message.reply:
            try:
                await send(message.reply, say())
            except Unavailable as error:
                log.debug("an answer is lost", subject=message.subject, why=str(error))

    return asked
