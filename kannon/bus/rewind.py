"""Consumers that are ahead of their stream start again at its first message.

In: a connection with streams and consumers made. Out: no consumer that waits for sequences which its stream has not
reached. A power cut may leave a consumer's progress on the disk and lose the stream's last messages: nats-server
numbers new messages from the last one that it found, and takes them for delivered and settled. No handler minds a
message that comes again.
"""

from typing import Any

import anyio
import structlog

from kannon.bus.backlog import consumer_info, request, stream_info
from kannon.bus.connection import Connection
from kannon.bus.streams import CONSUMERS, ConsumerSpec
from kannon.errors import Unavailable

log = structlog.get_logger()

CONFIRM_SECONDS = 0.5  # servers of a cluster may differ for a moment, after the leader of a stream has moved


async def rewind_consumers(connection: Connection) -> None:
    """Raises Unavailable, also where NATS is too old to do it."""
    for spec in CONSUMERS:
        if await _is_ahead(connection, spec):
            await anyio.sleep(CONFIRM_SECONDS)
            if await _is_ahead(connection, spec):
                await _rewind(connection, spec)


async def _is_ahead(connection: Connection, spec: ConsumerSpec) -> bool:
    reached = _reached(await consumer_info(connection, spec))  # first: the stream may grow between the two
    last: int = (await stream_info(connection, spec.stream))["state"]["last_seq"]
    return reached > last


def _reached(info: dict[str, Any]) -> int:
    return max(int(info["delivered"]["stream_seq"]), int(info["ack_floor"]["stream_seq"]))


async def _rewind(connection: Connection, spec: ConsumerSpec) -> None:
    first = max(1, (await stream_info(connection, spec.stream))["state"]["first_seq"])
    try:
        await _reset(connection, spec, first)
    except Unavailable as error:
        raise Unavailable(
            f"NATS consumer {spec.stream}/{spec.name} is ahead of its stream, as after a power cut, and cannot be reset"
            f" (NATS before 2.14 cannot: delete the consumer): {error}"
        ) from None
    log.warning("NATS lost messages; the consumer starts again", consumer=spec.name, stream=spec.stream, sequence=first)


async def return_pending(connection: Connection) -> None:
    """Messages that a killed process had in work come again at once, not after its ack wait. For a server that was
    started by this process: no other has messages of it. Raises Unavailable."""
    for spec in CONSUMERS:
        info = await consumer_info(connection, spec)
        if pending := info["num_ack_pending"]:
            await _reset(connection, spec, info["ack_floor"]["stream_seq"] + 1)
            log.debug("messages of a killed process come again", consumer=spec.name, stream=spec.stream, count=pending)


async def _reset(connection: Connection, spec: ConsumerSpec, sequence: int) -> None:
    await request(connection, f"$JS.API.CONSUMER.RESET.{spec.stream}.{spec.name}", {"seq": sequence})
