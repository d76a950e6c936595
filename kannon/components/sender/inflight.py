"""What is in work and what has been recorded lately, so that an envelope which comes twice is sent once.

In: keys (delivery id, attempt) with the messages that brought them. An envelope comes again when its ack was lost or
when NATS was away longer than its ack wait: while it is in work the new message joins the old one; after its outcome
was recorded it is acked and nothing else. Where it comes by a later turn, the pool has found neither it nor its
outcome: that was lost, with the store of NATS, and is told again. The memory is bounded; a second process has its own.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, auto

import anyio
import structlog

from kannon.bus.consume import Message
from kannon.errors import Unavailable
from kannon.mail.event import Event

log = structlog.get_logger()

REMEMBERED = 30_000  # longer than the bus's ack wait at full speed, and an hour at an ordinary one; about 20 MB

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
    IN_WORK = auto()
    RECORDED = auto()


@dataclass(slots=True, eq=False)
class InFlightEnvelope:
    """One envelope in work, and every message that brought it."""

    key: Key
    turn: int
    body_object: str
    messages: list[tuple[Message, Page]]

    async def ack(self) -> None:
        for message, page in self.messages:
            try:
                await message.ack()
            except Unavailable as error:
                log.debug("ack lost, it comes again and is remembered", why=str(error))
            page.settle_one()

    async def nak(self, delay_seconds: float) -> None:
        for message, page in self.messages:
            try:
                await message.nak(delay_seconds)
            except Unavailable as error:
                log.debug("nak lost, it comes again after its ack wait", why=str(error))
            page.settle_one()

    async def park(self, reason: str) -> None:
        for message, page in self.messages:
            try:
                await message.park(reason)
            except Unavailable as error:
                log.debug("park lost, it comes again after its ack wait", why=str(error))
            page.settle_one()


class InFlight:
    def __init__(self) -> None:
        self._in_work: dict[Key, InFlightEnvelope] = {}
        self._recorded: OrderedDict[Key, tuple[int, Event]] = OrderedDict()  # with the turn that it was the outcome of
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._in_work)

    def arrive(self, work: InFlightEnvelope) -> Arrival:
        """NEW: `work` is entered and the caller carries it on."""
        if work.key in self._recorded:
            return Arrival.RECORDED
        known = self._in_work.setdefault(work.key, work)
        if known is work:
            return Arrival.NEW
        known.messages += work.messages
        return Arrival.IN_WORK

    def lost_outcome(self, work: InFlightEnvelope) -> Event | None:
        """Of what arrived as recorded: its outcome, if that is asked for anew."""
        turn, event = self._recorded[work.key]
        return event if work.turn > turn else None

    def recorded(self, work: InFlightEnvelope, event: Event) -> None:
        self.leave(work)
        self._recorded[work.key] = work.turn, event
        if len(self._recorded) > REMEMBERED:
            self._recorded.popitem(last=False)

    def leave(self, work: InFlightEnvelope) -> None:
        """Put back or parked: the next time it is new."""
        self._in_work.pop(work.key, None)
        if not self._in_work:
            self._changed.set()

    async def empty(self) -> None:
        """Returns when nothing is in work."""
        while self._in_work:
            self._changed = anyio.Event()
            await self._changed.wait()
