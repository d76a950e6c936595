"""Publishing to JetStream in bursts: everything is written at once, then every acknowledgement is awaited and checked.

In: (subject, message id, payload) triples. Out: nothing, or Unavailable with the first refusal. After it any part of
the burst may be stored: the caller repeats all of it under the same ids, and the stream drops the duplicates
(Nats-Msg-Id). One inbox subscription serves all bursts; a future for each message would cost three times as much.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from kannon.bus.streams import without_partition
from kannon.errors import Unavailable

ACK_SECONDS = 5.0
UNACKNOWLEDGED_SECONDS = 60.0  # a caller repeats an unacknowledged publish within seconds
MAX_PENDING_BYTES = 4 << 20  # written before acks are awaited: bounds the client's buffer and the server's
MAX_PENDING = 2000


class Outgoing(NamedTuple):
    subject: str
    msg_id: str
    payload: bytes


class _Burst:
    """Counts the acknowledgements of one burst."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.problem = ""
        self.lost = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seen: set[str] = set()

    def acknowledge(self, index: str, problem: str) -> None:
        if index in self.seen:
            return
        self.seen.add(index)
        self.left -= 1
        self.problem = self.problem or problem
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)


class Publisher:
    """Publishes over one connection; `start` it once before use."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._bursts: dict[str, _Burst] = {}
        self._names = itertools.count()
        self._unacknowledged: dict[str, float] = {}  # subject → when its last burst timed out

    def fail(self) -> None:
        """The connection is lost: no acknowledgement will come, so each burst in progress ends now."""
        for burst in self._bursts.values():
            if not burst.done.done():
                burst.lost = True
                burst.done.set_result(None)

    def check(self) -> None:
        """Raises Unavailable while a subject's messages are unacknowledged: a stream with a write error is silent."""
        since = time.monotonic() - UNACKNOWLEDGED_SECONDS
        if silent := sorted(subject for subject, at in self._unacknowledged.items() if at > since):
            raise Unavailable(f"NATS {', '.join(silent)}: messages are not acknowledged")

    async def start(self) -> None:
        await self._client.subscribe(self._inbox + ".*.*", cb=self._on_ack, pending_msgs_limit=0, pending_bytes_limit=0)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all are stored. Raises Unavailable: some may be stored, repeat all under the same ids."""
        start = 0
        while start < len(messages):
            end, size = start, 0
            while end < len(messages) and end - start < MAX_PENDING and size < MAX_PENDING_BYTES:
                size += len(messages[end].payload)
                end += 1
            await self._burst(messages[start:end])
            start = end

    async def _burst(self, messages: Sequence[Outgoing]) -> None:
        if not self._client.is_connected:
            raise Unavailable("NATS: not connected")
        name = str(next(self._names))
        burst = self._bursts[name] = _Burst(len(messages))
        prefix = f"{self._inbox}.{name}."
        try:
            async with asyncio.timeout(ACK_SECONDS):
                for index, message in enumerate(messages):
                    await self._client.publish(
                        message.subject,
                        message.payload,
                        reply=prefix + str(index),
                        headers={"Nats-Msg-Id": message.msg_id},
                    )
                await burst.done
        except TimeoutError:
            self._unacknowledged[without_partition(messages[0].subject)] = time.monotonic()
            raise Unavailable(
                f"NATS {messages[0].subject}: {burst.left} of {len(messages)} messages not acknowledged"
            ) from None
        except (NatsError, OSError) as error:
            raise Unavailable(f"NATS {messages[0].subject}: {error or type(error).__name__}") from error
        finally:
            del self._bursts[name]
        if burst.lost:
            raise Unavailable(f"NATS {messages[0].subject}: connection lost")
        self._unacknowledged.pop(without_partition(messages[0].subject), None)
        if burst.problem:
            raise Unavailable(f"NATS {messages[0].subject}: refused: {burst.problem}")

    async def _on_ack(self, message: Msg) -> None:
        _, name, index = message.subject.rsplit(".", 2)
        burst = self._bursts.get(name)
        if burst is not None:
            burst.acknowledge(index, _problem(message))


def _problem(message: Msg) -> str:
    """Empty for an acknowledgement; that of a duplicate is one too."""
    if message.headers:  # a status instead of an ack; 503: no stream has this subject
        return f"status {message.headers.get('Status', '')}"
    if b'"error"' in message.data:
        return str(json.loads(message.data)["error"].get("description", "refused"))
    return ""
