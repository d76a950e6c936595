"""Deliveries that a sender returns unsent: a request of the sender to one dispatcher, over core NATS.

In: a page of ThrottledDelivery. Out: a reply, sent when the dispatcher has committed their rows; the sender
acknowledges the envelopes after it. A request or reply that is lost makes the sender repeat the request.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
import structlog
from nats.aio.msg import Msg

from kannon.bus import streams
from kannon.bus.connection import Connection
from kannon.errors import Unavailable
from kannon.mail.envelope import ThrottledDelivery

log = structlog.get_logger()

REPLY_SECONDS = 10.0  # a dispatcher's commit; where no dispatcher is subscribed the server replies at once
COMMITTED, REFUSED = b"taken", b"refused"

ThrottledHandler = Callable[[list[ThrottledDelivery], Callable[[], Awaitable[None]]], Awaitable[None]]


async def request_return(connection: Connection, page: Sequence[ThrottledDelivery]) -> None:
    """Returns when one dispatcher has committed the rows. Raises Unavailable where that is not certain; the call may be
    repeated."""
    text = json.dumps([_fields(each) for each in page])
    reply = await connection.request(streams.THROTTLED, text.encode(), seconds=REPLY_SECONDS)
    if reply.data != COMMITTED:
        raise Unavailable(f"no dispatcher could return {len(page)} throttled deliveries to the queue")


def _fields(each: ThrottledDelivery) -> list[object]:
    """The reason only where there is one: a dispatcher of an earlier version does not know it."""
    fields: list[object] = [each.delivery_id, each.requeues, each.seconds, each.rate, each.domain]
    return [*fields, each.reason] if each.reason else fields


async def serve_returns(connection: Connection, handle: ThrottledHandler, stop: anyio.Event) -> None:
    """Gives each page to `handle` until `stop`; of several dispatchers one gets it. `handle` calls its second argument
    when the rows are committed; where it raises Unavailable, the sender repeats the request."""

    async def serve(message: Msg) -> None:
        try:
            page = [ThrottledDelivery(*each) for each in json.loads(message.data)]
            await handle(page, partial(_reply, connection, message, COMMITTED))
        except Unavailable as error:
            log.warning("throttled deliveries not returned to the queue", why=str(error))
            await _reply(connection, message, REFUSED)

    async with anyio.create_task_group() as group:

        async def arrived(message: Msg) -> None:
            group.start_soon(serve, message)

        async with connection.subscribed(streams.THROTTLED, arrived, queue="dispatcher"):
            await stop.wait()


async def _reply(connection: Connection, message: Msg, answer: bytes) -> None:
    try:
        await connection.send(message.reply, answer)
    except Unavailable as error:
        log.debug("reply lost", subject=message.subject, why=str(error))
