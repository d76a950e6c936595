"""The one consume loop: pull in pages, hand on, settle each message, keep what is in work alive.

In: a durable pull consumer and a handler of pages. Out: every message is acked, nak'ed with a delay, or parked, by the
handler; what a failing handler leaves unsettled is nak'ed here, and what fails again and again, alone, is parked. At
most `in_flight` messages, of `bytes_in_flight` together, are unsettled and `pages_at_once` pages in work. Messages are
handled as soon as they arrive: a pull request stands at the server, and what has gathered since the last page is the
next one.
"""

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import structlog
from nats.aio.msg import Msg

from kannon.bus.client import Connection, unavailable
from kannon.bus.streams import HEARTBEAT_SECONDS, ConsumerSpec
from kannon.errors import Unavailable
from kannon.log import leaves

if TYPE_CHECKING:
    from kannon.bus.connection import Bus

log = structlog.get_logger()

PULL_SECONDS = 4.0  # a pull request is lost at a server restart, so it is short and asked again (nats-py's own advice)
RETRY_SECONDS = 2.0  # nak delay for what a failing handler left unsettled
MAX_FAILURES = 5  # deliveries of a message that fails alone before it is parked
END_SECONDS = 2.0
ENVELOPE_BYTES = 1024  # subjects around a message; the server counts them, and headers within max_payload

PageHandler = Callable[[list["Message"]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """`page`: messages handed on at once; `in_flight`: messages unsettled; `pages_at_once`: pages in work;
    `bytes_in_flight`: of the unsettled messages, 0 for no limit; a single message of any size is always taken."""

    page: int
    in_flight: int
    pages_at_once: int = 1
    bytes_in_flight: int = 0


class Message:
    """One message in work. Exactly one of ack, nak, park settles it; settling twice is harmless."""

    __slots__ = ("_bus", "_consumption", "_raw", "payload", "settled")

    def __init__(self, raw: Msg, consumption: "_Consumption", bus: "Bus") -> None:
        self._raw = raw
        self._consumption = consumption
        self._bus = bus
        self.payload = raw.data
        self.settled = False

    @property
    def msg_id(self) -> str:
        return (self._raw.headers or {}).get("Nats-Msg-Id", "")

    @property
    def num_delivered(self) -> int:
        """1 on the first delivery."""
        return int(self._raw.metadata.num_delivered)

    async def ack(self) -> None:
        """Done with; not waited for: an ack that is lost means a redelivery, which every handler must bear."""
        await self._settle(b"+ACK")

    async def nak(self, delay_seconds: float) -> None:
        """Again, after a delay; meanwhile its neighbours go on."""
        await self._settle(b'-NAK {"delay": %d}' % int(delay_seconds * 1e9))

    async def park(self, reason: str) -> None:
        """Can never be handled: kept in kannon_parked under its reason, counted and logged, never seen again here."""
        await self._bus.park(self._raw.subject, self.payload, reason)
        await self._settle(b"+TERM")

    async def _settle(self, word: bytes) -> None:
        if not self.settled:
            self.settled = True
            self._consumption.forget(self)
            await self._bus.send(self._raw.reply, word)

    async def heartbeat(self) -> None:
        await self._bus.send(self._raw.reply, b"+WPI")


class _Consumption:
    """The state of one running loop: what is asked for, what has arrived, what is in work."""

    def __init__(self, connection: Connection, bus: "Bus", spec: ConsumerSpec, limits: Limits) -> None:
        self._connection = connection
        self._client = client = connection.client  # for as long as this loop runs
        self._bus = bus
        self._spec = spec
        self._limits = limits
        self._pages = 0  # in work
        self._inbox = client.new_inbox()
        self._asked = 0  # of the standing pull requests
        self._asked_bytes = 0
        self._asked_until = 0.0
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
            # 404, 408, 409: a request is over, with so much of it unanswered; 100: a heartbeat, which is not asked for.
            self._answered(
                int(raw.headers.get("Nats-Pending-Messages", self._asked)),
                int(raw.headers.get("Nats-Pending-Bytes", self._asked_bytes)),
            )
        else:
            self._answered(1, len(raw.data))
            message = Message(raw, self, self._bus)
            self._arrived.append(message)
            self._unsettled.add(message)
            self._bytes += len(raw.data)
        self._changed.set()

    def _answered(self, messages: int, size: int) -> None:
        self._asked = max(0, self._asked - messages)
        self._asked_bytes = max(0, self._asked_bytes - size) if self._asked else 0

    async def run(self, stop: anyio.Event, handle: PageHandler) -> None:
        with unavailable():
            subscription = await self._client.subscribe(
                self._inbox, cb=self.on_message, pending_msgs_limit=0, pending_bytes_limit=0
            )
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._heartbeats)
                group.start_soon(self._wake_on, stop)
                async with anyio.create_task_group() as pages:
                    while not stop.is_set():
                        self._changed = anyio.Event()
                        await self._ask()
                        if self._arrived and self._pages < self._limits.pages_at_once:
                            self._pages += 1
                            pages.start_soon(self._handle, handle, self._take())
                            await anyio.lowlevel.checkpoint()
                        else:
                            with anyio.move_on_after(PULL_SECONDS):
                                await self._changed.wait()
                group.cancel_scope.cancel()
        finally:
            # Ended first: a subscription that outlives its loop keeps every message of it in memory.
            await self._connection.end(subscription)
            with anyio.move_on_after(END_SECONDS, shield=True):
                await self._give_back()

    async def _wake_on(self, stop: anyio.Event) -> None:
        await stop.wait()
        self._changed.set()

    async def _ask(self) -> None:
        """Keeps a pull request standing while there is room for half a page."""
        now = time.monotonic()
        if now > self._asked_until:
            self._asked = self._asked_bytes = 0
        room = min(self._limits.page, self._limits.in_flight - len(self._unsettled) - self._asked)
        if room <= 0 or (self._asked and room < self._limits.page // 2):
            return
        request = {"batch": room, "expires": int(PULL_SECONDS * 1e9)}
        if self._limits.bytes_in_flight:
            size = self._room_bytes(room)
            if not size:
                return
            request["max_bytes"] = size
            self._asked_bytes += size
        if not self._client.is_connected:
            raise Unavailable("NATS: not connected")
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._spec.stream}.{self._spec.name}",
            json.dumps(request).encode(),
            reply=self._inbox,
        )
        self._asked += room
        self._asked_until = now + PULL_SECONDS + 0.5

    def _room_bytes(self, messages: int) -> int:
        """This request's share of the bytes that are left; 0 while the largest message would not fit."""
        largest = self._client.max_payload + ENVELOPE_BYTES
        limit = max(self._limits.bytes_in_flight, largest)
        left = limit - self._bytes - self._asked_bytes
        return min(left, max(largest, limit * messages // self._limits.in_flight)) if left >= largest else 0

    def _take(self) -> list[Message]:
        return [self._arrived.popleft() for _ in range(min(len(self._arrived), self._limits.page))]

    async def _handle(self, handle: PageHandler, page: list[Message]) -> None:
        try:
            await handle(page)
        except Unavailable as error:
            log.warning("page put back", consumer=self._spec.name, size=len(page), why=str(error))
        except Exception as error:
            log.exception("page failed", consumer=self._spec.name, size=len(page), why=str(error))
            await self._handle_singly(handle, page)
        finally:
            self._pages -= 1
            self._changed.set()
        await _put_back(page, RETRY_SECONDS)

    async def _handle_singly(self, handle: PageHandler, page: list[Message]) -> None:
        """One bad message must not hold up its page, nor spin: alone, it fails a few times and is parked."""
        for message in page:
            if message.settled:
                continue
            try:
                await handle([message])
            except Unavailable:
                return
            except Exception as error:
                if message.num_delivered >= MAX_FAILURES:
                    await message.park(f"{type(error).__name__}: {error}")

    async def _heartbeats(self) -> None:
        """A transaction in progress is kept alive by in-progress signals, not by a long ack wait."""
        while True:
            await anyio.sleep(HEARTBEAT_SECONDS)
            for message in list(self._unsettled):
                if not message.settled:
                    await message.heartbeat()

    async def _give_back(self) -> None:
        """What has arrived and was not begun goes back at once, or after its ack wait while NATS is away."""
        await _put_back(list(self._unsettled), 0)
        self._arrived.clear()


async def _put_back(messages: list[Message], delay_seconds: float) -> None:
    for message in messages:
        try:
            await message.nak(delay_seconds)
        except Unavailable as error:
            log.debug("nak lost, the message comes again after its ack wait", why=str(error))


async def consume(
    connection: Connection, bus: "Bus", spec: ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event
) -> None:
    """Runs until `stop`, then lets the pages in work finish. Raises Unavailable when the connection is lost."""
    try:
        await _Consumption(connection, bus, spec, limits).run(stop, handle)
    except ExceptionGroup as group:
        # The tasks within are nobody's business: a caller with mail in flight waits for NATS and catches this by name.
        causes = leaves(group)
        if all(isinstance(cause, Unavailable) for cause in causes):
            raise causes[0] from None
        raise
