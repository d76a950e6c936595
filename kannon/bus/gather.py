"""Questions to all processes at once, over core NATS: whoever runs a sender says how its destinations are doing.

In: a subject and, for an answer, what to say. Out: the answers that came within a moment; how many there should be
nobody knows. Nothing is kept: who is not there is not asked.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from nats.aio.client import Client
from nats.aio.msg import Msg

ANSWER_SECONDS = 0.5


async def ask_all(client: Client, subject: str) -> list[bytes]:
    """Raises what nats-py raises."""
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
        with anyio.move_on_after(2, shield=True):
            if client.is_connected:
                await subscription.unsubscribe()
    return answers


def answering(client: Client, say: Callable[[], bytes]) -> Callable[[Msg], Coroutine[Any, Any, None]]:
    """A subscription's callback."""

    async def asked(message: Msg) -> None:
        if message.reply:
            await client.publish(message.reply, say())

    return asked
