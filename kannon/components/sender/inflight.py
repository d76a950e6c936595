"""The envelopes in flight and the recent outcomes, so that an envelope that is redelivered is sent once.

In: keys (delivery id, attempt) with the messages that carried them. NATS redelivers an envelope when its ack was lost,
or when NATS was away for longer than the ack wait. While the envelope is in flight the new message joins the old one;
after its outcome was recorded the message is acked. A higher requeue count means that the pool found neither the
envelope nor its outcome: NATS lost its store, and the outcome is published again. The memory is bounded. Each process
has its own.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, auto

import anyio
import structlog

from kannon.bus.redelivered import Held
from kannon.bus.settle import Message
from kannon.errors import Unavailable
from kannon.mail.envelope import RedeliveredEnvelope
from kannon.mail.event import Event

log = structlog.get_logger()

REMEMBERED = 30_000  # outlasts the ack wait at full speed; about 20 MB

Key = tuple[int, int]
"""Delivery id and attempt."""


@dataclass(slots=True)
class Page:
    """How many of a page's messages are not settled yet; `settled` is set with the last one."""

    left: int
    settled: anyio.Event = field(default_factory=anyio.Event)

    def settle_one(self) -> None:
        self.left -= 1
        if self.left <= 0:
            self.settled.set()


class Arrival(Enum):
    NEW = auto()
    IN_FLIGHT = auto()
    RECORDED = auto()


@dataclass(slots=True, eq=False)
class InFlightEnvelope:
    """One envelope, and every message that carried it."""

    key: Key
    requeues: int
    body_object: str
    messages: list[tuple[Message, Page]]
    freezes: int = 0
    """How often this process had been frozen when it came."""

    def redelivered(self) -> RedeliveredEnvelope:
        return RedeliveredEnvelope(*self.key, self.requeues, max(message.num_delivered for message, _ in self.messages))

    async def ack(self) -> None:
        for message, page in self.messages:
            try:
                await message.ack()
            except Unavailable as error:
                log.debug("ack lost; the redelivered message will be acked", why=str(error))
            page.settle_one()

    async def nak(self, delay_seconds: float) -> None:
        for message, page in self.messages:
            try:
                await message.nak(delay_seconds)
            except Unavailable as error:
                log.debug("nak lost; the message returns after its ack wait", why=str(error))
            page.settle_one()

    async def dead_letter(self, reason: str) -> None:
        for message, page in self.messages:
            try:
                await message.dead_letter(reason)
            except Unavailable as error:
                log.debug("dead letter lost; the message returns after its ack wait", why=str(error))
            page.settle_one()


class InFlight:
    def __init__(self) -> None:
        self._envelopes: dict[Key, InFlightEnvelope] = {}
        self._recorded: OrderedDict[Key, tuple[int, Event]] = OrderedDict()  # with its requeue count
        self._returned: OrderedDict[tuple[int, int, int], int] = OrderedDict()  # with the count of deliveries
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._envelopes)

    def add(self, work: InFlightEnvelope) -> Arrival:
        """NEW: the caller has to process it."""
        if work.key in self._recorded:
            return Arrival.RECORDED
        known = self._envelopes.setdefault(work.key, work)
        if known is work:
            return Arrival.NEW
        known.messages += work.messages
        return Arrival.IN_FLIGHT

    def lost_outcome(self, asked: RedeliveredEnvelope) -> Event | None:
        """The outcome to publish again, if NATS may have lost it: the pool has put another envelope in place of the one
        that it belongs to, or the same one is delivered for the first time, so the stream has forgotten it."""
        before, event = self._recorded.get((asked.delivery_id, asked.attempt), (0, None))
        return event if asked.requeues > before or asked.deliveries == 1 else None

    def recorded(self, work: InFlightEnvelope, event: Event) -> None:
        self.remove(work)
        self._recorded[work.key] = work.requeues, event
        if len(self._recorded) > REMEMBERED:
            self._recorded.popitem(last=False)

    def returned(self, work: InFlightEnvelope) -> None:
        """It goes back to the stream, and this process has not sent it."""
        self.remove(work)
        asked = work.redelivered()
        self._returned[asked[:3]] = asked.deliveries
        if len(self._returned) > REMEMBERED:
            self._returned.popitem(last=False)

    def is_open(self, asked: RedeliveredEnvelope) -> bool:
        """Whether this process had it last and returned it unsent."""
        return self._returned.get(asked[:3]) == asked.deliveries - 1

    def held(self, asked: RedeliveredEnvelope) -> Held | None:
        """The reply to another sender."""
        key = asked.delivery_id, asked.attempt
        if key in self._recorded:
            return Held.RECORDED
        if key in self._envelopes:
            return Held.IN_FLIGHT
        return Held.RETURNED if self.is_open(asked) else None

    def remove(self, work: InFlightEnvelope) -> None:
        """Requeued, or a dead letter: the next time it is new."""
        self._envelopes.pop(work.key, None)
        if not self._envelopes:
            self._changed.set()

    async def wait_empty(self) -> None:
        """Returns when no envelope is in flight."""
        while self._envelopes:
            self._changed = anyio.Event()
            await self._changed.wait()
