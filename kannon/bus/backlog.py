"""How much waits in a stream, and how far a consumer has come.

The dispatcher asks several times a second, so this reads the server's own JSON: nats-py's StreamInfo leaves out the
times and costs more to decode.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kannon.bus import streams
from kannon.bus.connection import Connection
from kannon.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages of a stream, unacknowledged ones included. `age` of the oldest, by NATS's clock; None where the stream
    is empty. `stream_age`: since the stream was created, at the installation or after NATS lost its store."""

    messages: int
    bytes: int
    age: timedelta | None
    stream_age: timedelta


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for the senders. `fresh`: messages not delivered to any sender yet. `handed_over`: a counter of those
    that were."""

    backlog: Backlog
    fresh: int
    handed_over: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`last_seq` of the stream, the sequence up to which this consumer settled everything, and what waits for it."""

    last_seq: int
    settled_seq: int
    waiting: int


async def read_backlog(connection: Connection, stream: str) -> Backlog:
    """Raises Unavailable."""
    info = await stream_info(connection, stream)
    state = info["state"]
    now, age = datetime.fromisoformat(info["ts"]), None
    if state["messages"]:
        age = now - datetime.fromisoformat(state["first_ts"])
    return Backlog(state["messages"], state["bytes"], age, now - datetime.fromisoformat(info["created"]))


async def read_last_sequence(connection: Connection, stream: str) -> int:
    """Raises Unavailable, soon: a stream that elects its leader does not reply."""
    return int((await stream_info(connection, stream, seconds=1.0))["state"]["last_seq"])


async def read_sending_queue(connection: Connection) -> Queue:
    """The sending stream as its consumer sees it. Raises Unavailable."""
    info = await consumer_info(connection, streams.SENDER)
    backlog = await read_backlog(connection, streams.SENDER.stream)
    return Queue(backlog, int(info["num_pending"]), int(info["delivered"]["stream_seq"]))


async def read_progress(connection: Connection, spec: streams.ConsumerSpec) -> Progress:
    """Raises Unavailable."""
    stream = await stream_info(connection, spec.stream)
    consumer = await consumer_info(connection, spec)
    return Progress(
        last_seq=stream["state"]["last_seq"],
        settled_seq=consumer["ack_floor"]["stream_seq"],
        waiting=consumer["num_pending"] + consumer["num_ack_pending"],
    )


async def purge_settled(connection: Connection) -> None:
    """Removes acknowledged envelopes that the sending stream kept: a stream that met a write error takes an
    acknowledgement, but cannot remove its message, and that would date the backlog for days. Raises Unavailable."""
    state = (await stream_info(connection, streams.SENDER.stream))["state"]
    settled = int((await consumer_info(connection, streams.SENDER))["ack_floor"]["stream_seq"])
    if state["messages"] and state["first_seq"] <= settled:
        # Keeps `seq` and what follows; 0 would purge all.
        await request(connection, f"$JS.API.STREAM.PURGE.{streams.SENDER.stream}", {"seq": settled + 1})


async def list_subjects(connection: Connection, stream: str, subject: str) -> set[str]:
    """Those that match `subject` and hold a message; the server gives them a page at a time. Raises Unavailable."""
    found: set[str] = set()
    while True:
        info = await stream_info(connection, stream, {"subjects_filter": subject, "offset": len(found)})
        page = info["state"].get("subjects") or {}
        found |= set(page)
        if not page or len(found) >= info.get("total", 0):
            return found


async def stream_info(
    connection: Connection, stream: str, question: object = None, *, seconds: float | None = None
) -> dict[str, Any]:
    return await request(connection, f"$JS.API.STREAM.INFO.{stream}", question, seconds=seconds)


async def consumer_info(connection: Connection, spec: streams.ConsumerSpec) -> dict[str, Any]:
    return await request(connection, f"$JS.API.CONSUMER.INFO.{spec.stream}.{spec.name}")


async def request(
    connection: Connection, subject: str, question: object = None, *, seconds: float | None = None
) -> dict[str, Any]:
    payload = json.dumps(question).encode() if question else b""
    reply: dict[str, Any] = json.loads((await connection.request(subject, payload, seconds=seconds)).data)
    if "error" in reply:
        raise Unavailable(f"NATS {subject}: {reply['error'].get('description', 'refused')}")
    return reply
