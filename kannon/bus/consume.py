"""The one consume loop: pull in pages, hand on, settle each message, keep unsettled ones alive.

In: a durable pull consumer and a handler of pages. Out: the handler acks each message, naks it with a delay, or makes
it a dead letter. This loop naks what a failing handler leaves unsettled, and makes a message that fails repeatedly,
alone, a dead letter. At most `in_flight` messages, of `bytes_in_flight` together, are unsettled, and `pages_at_once`
pages in work. A pull request stands at the server, so messages are handled as soon as they arrive; those that arrive
while a page is in work make the next page.
"""

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import structlog
from nats.aio.msg import Msg

from kannon.bus.connection import Connection, unavailable
from kannon.bus.dead_letters import DeadLetters
from kannon.bus.streams import HEARTBEAT_SECONDS, ConsumerSpec
from kannon.errors import Unavailable
from kannon.log import leaves

log = structlog.get_logger()

PULL_SECONDS = 4.0  # a pull request is lost at a server restart, so it is short and repeated, as nats-py advises
RETRY_SECONDS = 2.0  # nak delay for what a failing handler left unsettled
MAX_FAILURES = 5  # deliveries of a message that fails alone before it becomes a dead letter
END_SECONDS = 2.0
ENVELOPE_BYTES = 1024  # subjects around a message; the server counts them, and headers within max_payload

PageHandler = Callable[[list["Message"]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """`page`: the most messages in a page; `in_flight`: unsettled messages; `pages_at_once`: pages in work;
    `bytes_in_flight`: bytes of the unsettled messages, 0 for no limit; a single message of any size always fits.
    `gather_seconds`: between the beginnings of two pages that are not full, so that the second one has more messages;
    the first message after a pause never waits."""

    page: int
    in_flight: int
    pages_at_once: int = 1
    bytes_in_flight: int = 0
    gather_seconds: float = 0.0


class Message:
    """One message in work. One of ack, nak, dead_letter settles it; a second one does nothing."""

    __slots__ = ("_consumption", "_raw", "payload", "settled")

    def __init__(self, raw: Msg, consumption: "_Consumption") -> None:
        self._raw = raw
        self._consumption = consumption
        self.payload = raw.data
        self.settled = False

    @property
    def msg_id(self) -> str:
        return (self._raw.headers or {}).get("Nats-Msg-Id", "")

    @property
    def num_delivered(self) -> int:
        """1 on the first delivery."""
        # $JS.ACK.<stream>.<consumer>.<delivered>.…, or with domain and account before the stream. nats-py's `metadata`
        # costs ten times as much, and the sender reads this of each envelope.
        tokens = self._raw.reply.split(".", 7)
        return int(tokens[4] if tokens[6].isdecimal() and self._raw.reply.count(".") == 8 else tokens[6])

    async def ack(self) -> None:
        """Not confirmed by the server: after a lost ack the message is redelivered, which every handler must
        tolerate."""
        await self._settle(b"+ACK")

    async def nak(self, delay_seconds: float) -> None:
        """Redelivered after a delay, which does not hold up other messages."""
        await self._settle(b'-NAK {"delay": %d}' % int(delay_seconds * 1e9))

    async def dead_letter(self, reason: str) -> None:
        """For a message that can never be handled: stored in kannon_parked with the reason, not redelivered."""
        await self.add_dead_letter(self.payload, reason)
        await self._settle(b"+TERM")

    async def add_dead_letter(self, payload: bytes, reason: str) -> None:
        """For a part of the message that can never be handled. Does not settle the message."""
        await self._consumption.dead_letters.add(self._raw.subject, payload, reason)

    async def _settle(self, word: bytes) -> None:
        if not self.settled:
            self.settled = True
            self._consumption.forget(self)
            await self._consumption.send(self._raw.reply, word)

    async def heartbeat(self) -> None:
        await self._consumption.send(self._raw.reply, b"+WPI")


class _Consumption:
    """The state of one running loop: what is requested, what has arrived, what is in work."""

    def __init__(self, connection: Connection, dead_letters: DeadLetters, spec: ConsumerSpec, limits: Limits) -> None:
        self._connection = connection
        self.dead_letters = dead_letters
        self.send = connection.send
        self._client = client = connection.client  # for as long as this loop runs
        self._lost = connection.lost
        self._spec = spec
        self._limits = limits
        self._pages = 0  # in work
        self._page_began = float("-inf")
        self._inbox = client.new_inbox()
        self._requested = 0  # by the standing pull requests
        self._requested_bytes = 0
        self._requested_until = 0.0
        self._bytes = 0  # unsettled
        self._arrived: deque[Message] = deque()
        self._unsettled: set[Message] = set()
        self._changed = anyio.Event()

    def forget(self, message: Message) -> None:
        if message in self._unsettled:
            self._unsettled.remove(message)
            self._bytes -= len(message.payload)
        self._changed.set()

    async def on_message(self, raw: Msg) -> None:
        if not raw.reply and raw.headers and "Status" in raw.headers:
            # 404, 408, 409: a request is over, with so much of it unanswered; 100: a heartbeat, which is not requested.
            self._answered(
                int(raw.headers.get("Nats-Pending-Messages", self._requested)),
                int(raw.headers.get("Nats-Pending-Bytes", self._requested_bytes)),
            )
        else:
            self._answered(1, len(raw.data))
            message = Message(raw, self)
            self._arrived.append(message)
            self._unsettled.add(message)
            self._bytes += len(raw.data)
        self._changed.set()

    def _answered(self, messages: int, size: int) -> None:
        self._requested = max(0, self._requested - messages)
        self._requested_bytes = max(0, self._requested_bytes - size) if self._requested else 0

    async def run(self, stop: anyio.Event, handle: PageHandler) -> None:
        with unavailable():
            subscription = await self._client.subscribe(
                self._inbox, cb=self.on_message, pending_msgs_limit=0, pending_bytes_limit=0
            )
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._heartbeats)
                group.start_soon(self._wake_on, stop)
                group.start_soon(self._wake_on, self._lost)
                async with anyio.create_task_group() as pages:
                    while not stop.is_set():
                        if self._lost.is_set():
                            raise Unavailable("NATS: connection lost")
                        self._changed = anyio.Event()
                        await self._request()
                        if self._arrived and self._pages < self._limits.pages_at_once:
                            await self._gather()
                            self._pages += 1
                            pages.start_soon(self._handle, handle, self._take())
                            await anyio.lowlevel.checkpoint()
                        else:
                            with anyio.move_on_after(PULL_SECONDS):
                                await self._changed.wait()
                group.cancel_scope.cancel()
        finally:
            # The subscription ends first: one that outlives its loop keeps all its messages in memory.
            await self._connection.end(subscription)
            with anyio.move_on_after(END_SECONDS, shield=True):
                await self._return_unsettled()

    async def _gather(self) -> None:
        if self._limits.gather_seconds and len(self._arrived) < self._limits.page:
            await anyio.sleep(max(0.0, self._page_began + self._limits.gather_seconds - time.monotonic()))
        self._page_began = time.monotonic()

    async def _wake_on(self, event: anyio.Event) -> None:
        await event.wait()
        self._changed.set()

    async def _request(self) -> None:
        """Keeps a pull request at the server while there is room for half a page."""
        now = time.monotonic()
        if now > self._requested_until:
            self._requested = self._requested_bytes = 0
        room = min(self._limits.page, self._limits.in_flight - len(self._unsettled) - self._requested)
        if room <= 0 or (self._requested and room < self._limits.page // 2):
            return
        request = {"batch": room, "expires": int(PULL_SECONDS * 1e9)}
        if self._limits.bytes_in_flight:
            size = self._room_bytes(room)
            if not size:
                return
            request["max_bytes"] = size
            self._requested_bytes += size
        if not self._client.is_connected:
            raise Unavailable("NATS: not connected")
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._spec.stream}.{self._spec.name}",
            json.dumps(request).encode(),
            reply=self._inbox,
        )
        self._requested += room
        self._requested_until = now + PULL_SECONDS + 0.5

    def _room_bytes(self, messages: int) -> int:
        """This request's share of the bytes that are left; 0 while the largest message does not fit."""
        largest = self._client.max_payload + ENVELOPE_BYTES
        limit = max(self._limits.bytes_in_flight, largest)
        left = limit - self._bytes - self._requested_bytes
        return min(left, max(largest, limit * messages // self._limits.in_flight)) if left >= largest else 0

    def _take(self) -> list[Message]:
        return [self._arrived.popleft() for _ in range(min(len(self._arrived), self._limits.page))]

    async def _handle(self, handle: PageHandler, page: list[Message]) -> None:
        try:
            await handle(page)
        except Unavailable as error:
            log.warning("page returned to the stream", consumer=self._spec.name, messages=len(page), why=str(error))
        except Exception:
            log.exception("page failed; handling its messages one by one", consumer=self._spec.name, messages=len(page))
            await self._handle_singly(handle, page)
        finally:
            self._pages -= 1
            self._changed.set()
        await _nak_all(page, RETRY_SECONDS)

    async def _handle_singly(self, handle: PageHandler, page: list[Message]) -> None:
        """A bad message does not hold up its page: alone, it fails a few times and becomes a dead letter."""
        for message in page:
            if message.settled:
                continue
            try:
                await handle([message])
            except Unavailable:
                return
            except Exception as error:
                if message.num_delivered >= MAX_FAILURES:
                    await message.dead_letter(f"{type(error).__name__}: {error}")

    async def _heartbeats(self) -> None:
        """In-progress signals keep long work from being redelivered; the ack wait stays short."""
        while True:
            await anyio.sleep(HEARTBEAT_SECONDS)
            for message in list(self._unsettled):
                if not message.settled:
                    await message.heartbeat()

    async def _return_unsettled(self) -> None:
        """At once; while NATS is away, the end of the ack wait does it."""
        await _nak_all(list(self._unsettled), 0)
        self._arrived.clear()


async def _nak_all(messages: list[Message], delay_seconds: float) -> None:
    for message in messages:
        try:
            await message.nak(delay_seconds)
        except Unavailable as error:
            log.debug("nak lost; the message is redelivered after its ack wait", message=message.msg_id, why=str(error))


async def consume(
    connection: Connection,
    dead_letters: DeadLetters,
    spec: ConsumerSpec,
    handle: PageHandler,
    limits: Limits,
    *,
    stop: anyio.Event,
) -> None:
    """Runs until `stop`, then lets the pages in work finish. Raises Unavailable when the connection is lost."""
    try:
        await _Consumption(connection, dead_letters, spec, limits).run(stop, handle)
    except ExceptionGroup as group:
        # A caller with mail in flight catches Unavailable by name, and waits for NATS.
        causes = leaves(group)
        if all(isinstance(cause, Unavailable) for cause in causes):
            raise causes[0] from None
        raise
