"""Questions about redelivered envelopes: has any process sent this one, or may this sender send it?

In: a page of redelivered envelopes. Out: those that other senders hold, and those that are closed: the pool has their
outcome. First every sender is asked, then one dispatcher, so an outcome that is recorded in between is seen. Both are
core NATS, so a question costs nothing while no envelope is redelivered.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from uuid import uuid4

import anyio
import structlog
from nats.aio.msg import Msg

from kannon.bus import streams
from kannon.bus.connection import Connection
from kannon.bus.gather import gather
from kannon.errors import Unavailable
from kannon.mail.envelope import RedeliveredEnvelope

log = structlog.get_logger()

REPLY_SECONDS = 10.0  # a dispatcher first settles the outcomes that are stored by then
PEERS_SECONDS = 5.0  # below the ack wait: an envelope of a sender that is not known yet is not redelivered before

Key = tuple[int, int]
"""Delivery id and attempt."""


class Held(StrEnum):
    """What another sender replies about an envelope."""

    IN_FLIGHT = "in flight"
    RECORDED = "recorded"
    """Its outcome is in the stream."""
    RETURNED = "returned"
    """It was returned to the stream unsent, and was in no other hands since."""


SenderAnswer = Callable[[RedeliveredEnvelope], Held | None]
DispatcherAnswer = Callable[[Sequence[RedeliveredEnvelope]], Awaitable[set[Key]]]


class Questions:
    """Asks on behalf of one process, and replies to the others."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = uuid4().hex
        self._peers: set[str] = set()
        self._peers_until = float("-inf")

    async def ask_senders(self, page: Sequence[RedeliveredEnvelope]) -> dict[Key, Held]:
        """What the other senders hold of it. Returns when all senders that are known have replied, and waits for
        others only now and then. Raises Unavailable."""
        question = json.dumps([self._name, page]).encode()
        known = self._peers if anyio.current_time() < self._peers_until else None
        names: set[str] = set()
        found: dict[Key, Held] = {}

        def take(payload: bytes) -> bool:
            name, held = json.loads(payload)
            names.add(name)
            for place, word in held:
                key = page[place].delivery_id, page[place].attempt
                # A sender that has it in flight knows more than one that returned it earlier.
                if found.get(key, Held.RETURNED) is Held.RETURNED:
                    found[key] = Held(word)
            return known is not None and known <= names

        began = anyio.current_time()
        await gather(self._connection, streams.ASK_SENDERS, question, enough=take)
        if known is None or not known <= names:
            self._peers, self._peers_until = names, began + PEERS_SECONDS
        return found

    async def serve_senders(self, answer: SenderAnswer) -> None:
        """Replies to `ask_senders` of other processes, until cancelled."""

        async def arrived(message: Msg) -> None:
            name, page = json.loads(message.data)
            held = []
            if name != self._name:
                answers = [answer(RedeliveredEnvelope(*each)) for each in page]
                held = [(place, word) for place, word in enumerate(answers) if word is not None]
            await self._reply(message, json.dumps([self._name, held]).encode())

        async with self._connection.subscribed(streams.ASK_SENDERS, arrived):
            await anyio.sleep_forever()

    async def ask_dispatcher(self, page: Sequence[RedeliveredEnvelope]) -> set[Key]:
        """Those that are closed. Raises Unavailable where no dispatcher could tell."""
        question = json.dumps(page).encode()
        reply = await self._connection.request(streams.ASK_DISPATCHER, question, seconds=REPLY_SECONDS)
        if not reply.data:
            raise Unavailable("no dispatcher could tell whether redelivered envelopes have an outcome")
        return {(delivery_id, attempt) for delivery_id, attempt in json.loads(reply.data)}

    async def serve_dispatcher(self, answer: DispatcherAnswer, stop: anyio.Event) -> None:
        """Replies to `ask_dispatcher` until `stop`; of several dispatchers one gets each question."""

        async def serve(message: Msg) -> None:
            page = [RedeliveredEnvelope(*each) for each in json.loads(message.data)]
            try:
                closed = await answer(page)
            except Unavailable as error:
                log.warning("cannot tell whether redelivered envelopes have an outcome", why=str(error))
                await self._reply(message, b"")
            else:
                await self._reply(message, json.dumps(sorted(closed)).encode())

        async with anyio.create_task_group() as group:

            async def arrived(message: Msg) -> None:
                group.start_soon(serve, message)

            async with self._connection.subscribed(streams.ASK_DISPATCHER, arrived, queue="dispatcher"):
                await stop.wait()

    async def _reply(self, message: Msg, answer: bytes) -> None:
        try:
            await self._connection.send(message.reply, answer)
        except Unavailable as error:
            log.debug("reply lost", subject=message.subject, why=str(error))
