"""Reports of the senders to each other, over core NATS: what each has in flight at each destination.

In: this sender's report. Out: the reports of all senders, this one's too, in the order of one connection. A report that
is lost is followed by the next one.
"""

from collections.abc import Callable

import anyio
import structlog
from nats.aio.msg import Msg

from kannon.bus import streams
from kannon.bus.connection import Connection
from kannon.errors import Poison, Unavailable
from kannon.mail.destination import SenderView
from kannon.wire.destinations import decode_view, encode_view

log = structlog.get_logger()

REPLY_SECONDS = 0.5

Hear = Callable[[SenderView], None]


async def meet(connection: Connection, report: SenderView, hear: Hear) -> None:
    """Returns when another sender has replied with its report, or when there is none: at once, because the server
    replies where nothing is subscribed."""
    try:
        reply = await connection.request(streams.SENDERS, encode_view(report), seconds=REPLY_SECONDS)
    except Unavailable as error:
        log.debug("no other sender replies", why=str(error))
        return
    _hear(reply, hear)


async def exchange(connection: Connection, report: Callable[[], SenderView], hear: Hear, *, seconds: float) -> None:
    """A report every `seconds`, until cancelled."""

    async def arrived(message: Msg) -> None:
        _hear(message, hear)
        if message.reply:
            await _send(connection, message.reply, report())

    async with connection.subscribed(streams.SENDERS, arrived):
        while True:
            await _send(connection, streams.SENDERS, report())
            await anyio.sleep(seconds)


async def _send(connection: Connection, subject: str, report: SenderView) -> None:
    try:
        await connection.send(subject, encode_view(report))
    except Unavailable as error:
        log.debug("report lost", subject=subject, why=str(error))


def _hear(message: Msg, hear: Hear) -> None:
    try:
        hear(decode_view(message.data))
    except Poison as error:  # a sender of another version
        log.warning("a sender's report cannot be read", subject=message.subject, why=str(error))
