"""Settlements: the messages of one consumer that this process has in work, and the words that settled others.

In: messages, and ack, nak or term for each. Out: the words to NATS, again where they may be lost. NATS replies to no
word, for a reply would cost as much. The words of the last seconds are kept instead: when the connection is made anew,
or the consumer has another leader, each is sent again, and this time NATS replies. Messages in work outlive a
consumption: one that its handler keeps stays alive over the next connection.
"""

import json
import time
from collections import deque
from typing import Any, NamedTuple

import anyio
import structlog
from nats.aio.msg import Msg

from kannon.bus.connection import Connection
from kannon.bus.dead_letters import DeadLetters
from kannon.bus.streams import ConsumerSpec
from kannon.errors import Unavailable

log = structlog.get_logger()

CHECK_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 1.0  # with CHECK_SECONDS below the shortest election (4 s): no change of the leader is missed
CONFIRM_SECONDS = 1.0
REPEAT_SECONDS = 20.0  # longer than an election
LOST_SECONDS = 1.0  # a nak sent so shortly before the loss may be lost
AT_ONCE = 200
MAX_WORDS = 50_000

ACK, TERM = b"+ACK", b"+TERM"


class Word(NamedTuple):
    at: float
    subject: str
    text: bytes
    sent: bool


class Message:
    """One message in work. One of ack, nak, dead_letter settles it; a second one does nothing."""

    __slots__ = ("_raw", "_settlements", "kept", "payload", "settled")

    def __init__(self, raw: Msg, settlements: "Settlements") -> None:
        self._raw = raw
        self._settlements = settlements
        self.payload = raw.data
        self.settled = False
        self.kept = False

    @property
    def msg_id(self) -> str:
        return (self._raw.headers or {}).get("Nats-Msg-Id", "")

    @property
    def num_delivered(self) -> int:
        """1 on the first delivery."""
        # $JS.ACK.<stream>.<consumer>.<delivered>.…, or with domain and account before the stream. nats-py's `metadata`
        # costs ten times as much, and the sender reads this of each envelope.
        tokens = self._raw.reply.split(".")
        return int(tokens[4] if len(tokens) == 9 else tokens[6])

    @property
    def sequence(self) -> int:
        """In its stream."""
        return _sequence(self._raw.reply)

    def keep(self) -> None:
        """The handler settles it, also if its page or its connection ends before."""
        self.kept = True

    def release(self) -> None:
        """The handler has given it up: it returns to the stream."""
        self.kept = False

    async def ack(self) -> None:
        """Not confirmed by the server: after a lost ack the message may be redelivered, which every handler must
        tolerate."""
        await self._settle(ACK)

    async def nak(self, delay_seconds: float) -> None:
        """Redelivered after a delay, which does not hold up other messages."""
        await self._settle(b'-NAK {"delay": %d}' % int(delay_seconds * 1e9))

    async def dead_letter(self, reason: str) -> None:
        """For a message that can never be handled: stored in kannon_parked with the reason, not redelivered."""
        await self.add_dead_letter(self.payload, reason)
        await self._settle(TERM)

    async def add_dead_letter(self, payload: bytes, reason: str) -> None:
        """For a part of the message that can never be handled. Does not settle the message."""
        await self._settlements.dead_letters.add(self._raw.subject, payload, reason)

    async def _settle(self, word: bytes) -> None:
        if not self.settled:
            self.settled = True
            self._settlements.forget(self)
            await self._settlements.send(self._raw.reply, word)

    async def heartbeat(self) -> None:
        await self._settlements.connection.send(self._raw.reply, b"+WPI")


class Settlements:
    """Of one consumer in one process; outlives its connections."""

    def __init__(self, connection: Connection, dead_letters: DeadLetters, spec: ConsumerSpec) -> None:
        self.connection = connection
        self.dead_letters = dead_letters
        self.unsettled: set[Message] = set()
        self.bytes = 0
        self.changed = anyio.Event()
        self._info = f"$JS.API.CONSUMER.INFO.{spec.stream}.{spec.name}"
        self._words: deque[Word] = deque(maxlen=MAX_WORDS)
        self._leader = ""
        self._created = ""

    def take(self, raw: Msg) -> Message:
        message = Message(raw, self)
        self.unsettled.add(message)
        self.bytes += len(raw.data)
        return message

    def forget(self, message: Message) -> None:
        if message in self.unsettled:
            self.unsettled.remove(message)
            self.bytes -= len(message.payload)
        self.changed.set()

    async def send(self, subject: str, word: bytes) -> None:
        """Raises Unavailable, and repeats the word later in any case."""
        try:
            await self.connection.send(subject, word)
        except Unavailable:
            self._words.append(Word(time.monotonic(), subject, word, sent=False))
            raise
        self._words.append(Word(time.monotonic(), subject, word, sent=True))

    async def watch(self) -> None:
        """Within one connection, until cancelled: repeats words at its begin, and after a change of the leader."""
        doubtful, since = True, time.monotonic()
        while True:
            if self._words or doubtful:
                try:
                    info = await self._read()
                    leader = (info.get("cluster") or {}).get("leader", "")
                    if doubtful or leader != self._leader:
                        await self._repeat(info, since)
                    self._leader, doubtful, since = leader, False, time.monotonic()
                    self._drop(before=since - 2 * (CHECK_SECONDS + CHECK_TIMEOUT_SECONDS))
                except Unavailable as error:
                    doubtful = True
                    log.debug("settlements not confirmed; retrying", why=str(error))
            await anyio.sleep(CHECK_SECONDS)

    async def _read(self) -> dict[str, Any]:
        reply = await self.connection.request(self._info, b"", seconds=CHECK_TIMEOUT_SECONDS)
        info: dict[str, Any] = json.loads(reply.data)
        if "error" in info:
            raise Unavailable(f"NATS {self._info}: {info['error']}")
        return info

    def _drop(self, *, before: float) -> None:
        while self._words and self._words[0].at < before:
            self._words.popleft()

    async def _repeat(self, info: dict[str, Any], since: float) -> None:
        """Sends what may be lost again. Raises Unavailable while not all of it is confirmed."""
        created, floor = str(info.get("created")), int(info["ack_floor"]["stream_seq"])
        if created != self._created:  # another consumer: its sequences name other messages
            self._words.clear()
            self._created = created
        now = time.monotonic()
        words = [
            word
            for word in self._words
            if word.at > now - REPEAT_SECONDS
            and _sequence(word.subject) > floor
            and (word.text in (ACK, TERM) or not word.sent or word.at > since - LOST_SECONDS)
        ]
        if not words:
            return
        confirmed: set[Word] = set()
        for first in range(0, len(words), AT_ONCE):
            async with anyio.create_task_group() as group:
                for word in words[first : first + AT_ONCE]:
                    group.start_soon(self._confirm, word, confirmed)
        self._words = deque((word for word in self._words if word not in confirmed), maxlen=MAX_WORDS)
        log.info("settlements repeated", count=len(words), confirmed=len(confirmed))
        if len(confirmed) < len(words):
            raise Unavailable(f"NATS: {len(words) - len(confirmed)} settlements not confirmed")

    async def _confirm(self, word: Word, confirmed: set[Word]) -> None:
        try:
            await self.connection.request(word.subject, word.text, seconds=CONFIRM_SECONDS)
            confirmed.add(word)
        except Unavailable as error:
            log.debug("settlement not confirmed", subject=word.subject, why=str(error))


def _sequence(subject: str) -> int:
    """Of the message in its stream, by the subject of its ack."""
    tokens = subject.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])
