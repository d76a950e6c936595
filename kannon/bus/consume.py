"""The one consume loop: pull in pages, hand on, keep unsettled messages alive.

In: a durable pull consumer and a handler of pages. Out: the handler acks each message, naks it with a delay, or makes
it a dead letter. This loop naks what a failing handler leaves unsettled and does not keep, and makes a message that
fails repeatedly, alone, a dead letter. At most `in_flight` messages, of `bytes_in_flight` together, are unsettled, and
`pages_at_once` pages in work. A pull request stands at the server, so messages are handled as soon as they arrive;
those that arrive while a page is in work make the next page.
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
from kannon.bus.settle import Message, Settlements
from kannon.bus.streams import HEARTBEAT_SECONDS, ConsumerSpec
from kannon.errors import Unavailable
from kannon.log import leaves

log = structlog.get_logger()

PULL_SECONDS = 4.0  # a pull request is lost at a server restart, so it is short and repeated, as nats-py advises
NO_LEADER = "503"  # status: the consumer elects a leader, or its stream is not loaded yet
NO_LEADER_SECONDS = 0.25
RETRY_SECONDS = 2.0  # nak delay for what a failing handler left unsettled
MAX_FAILURES = 5  # deliveries of a message that fails alone before it becomes a dead letter
END_SECONDS = 2.0
ENVELOPE_BYTES = 1024  # subjects around a message; the server counts them, and headers within max_payload

PageHandler = Callable[[list[Message]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """`page`: the most messages in a page; `in_flight`: unsettled messages; `pages_at_once`: pages in work;
    `bytes_in_flight`: bytes of the unsettled messages, 0 for no limit; a single message of any size always fits.
    `gather_seconds`: between the beginnings of two pages of which the second is not full, so that it has more messages;
    the first message after a pause never waits, and a full page does not wait longer."""

    page: int
    in_flight: int
    pages_at_once: int = 1
    bytes_in_flight: int = 0
    gather_seconds: float = 0.0


class _Consumption:
    """The state of one running loop: what is requested, what has arrived, what is in work."""

    def __init__(self, connection: Connection, settlements: Settlements, spec: ConsumerSpec, limits: Limits) -> None:
        self._connection = connection
        self._settlements = settlements
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
        self._arrived: deque[Message] = deque()
        self._full = anyio.Event()

    async def on_message(self, raw: Msg) -> None:
        if not raw.reply and raw.headers and raw.headers.get("Status") == NO_LEADER:
            self._requested_until = min(self._requested_until, time.monotonic() + NO_LEADER_SECONDS)
        elif not raw.reply and raw.headers and "Status" in raw.headers:
            # 404, 408, 409: a request is over, with so much of it unanswered; 100: a heartbeat, which is not requested.
            self._answered(
                int(raw.headers.get("Nats-Pending-Messages", self._requested)),
                int(raw.headers.get("Nats-Pending-Bytes", self._requested_bytes)),
            )
        else:
            self._answered(1, len(raw.data))
            self._arrived.append(self._settlements.take(raw))
            if len(self._arrived) >= self._limits.page:
                self._full.set()
        self._settlements.changed.set()

    def _answered(self, messages: int, size: int) -> None:
        self._requested = max(0, self._requested - messages)
        self._requested_bytes = max(0, self._requested_bytes - size) if self._requested else 0

    async def run(self, stop: anyio.Event, handle: PageHandler) -> None:
        with unavailable():
            subscription = await self._client.subscribe(
                self._inbox, cb=self.on_message, pending_msgs_limit=0, pending_bytes_limit=0
            )
        try:
            await self._return_unsettled()  # of an earlier loop that could not
            async with anyio.create_task_group() as group:
                group.start_soon(self._heartbeats)
                group.start_soon(self._settlements.watch)
                group.start_soon(self._wake_on, stop)
                group.start_soon(self._wake_on, self._lost)
                async with anyio.create_task_group() as pages:
                    while not stop.is_set():
                        if self._lost.is_set():
                            raise Unavailable("NATS: connection lost")
                        self._settlements.changed = anyio.Event()
                        await self._request()
                        if self._arrived and self._pages < self._limits.pages_at_once:
                            await self._gather()
                            self._pages += 1
                            pages.start_soon(self._handle, handle, self._take())
                            await anyio.lowlevel.checkpoint()
                        else:
                            with anyio.move_on_after(self._pause()):
                                await self._settlements.changed.wait()
                group.cancel_scope.cancel()
        finally:
            # The subscription ends first: one that outlives its loop keeps all its messages in memory.
            await self._connection.end(subscription)
            with anyio.move_on_after(END_SECONDS, shield=True):
                await self._return_unsettled()

    async def _gather(self) -> None:
        if self._limits.gather_seconds and len(self._arrived) < self._limits.page:
            self._full = anyio.Event()
            with anyio.move_on_after(self._page_began + self._limits.gather_seconds - time.monotonic()):
                await self._full.wait()
        self._page_began = time.monotonic()

    def _pause(self) -> float:
        """Until the standing request has expired, or a message wakes the loop."""
        return (
            min(PULL_SECONDS, max(0.01, self._requested_until - time.monotonic())) if self._requested else PULL_SECONDS
        )

    async def _wake_on(self, event: anyio.Event) -> None:
        await event.wait()
        self._settlements.changed.set()

    async def _request(self) -> None:
        """Keeps a pull request at the server while there is room for half a page."""
        now = time.monotonic()
        if now > self._requested_until:
            self._requested = self._requested_bytes = 0
        room = min(self._limits.page, self._limits.in_flight - len(self._settlements.unsettled) - self._requested)
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
        left = limit - self._settlements.bytes - self._requested_bytes
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
            self._settlements.changed.set()
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
            for message in list(self._settlements.unsettled):
                if not message.settled:
                    await message.heartbeat()

    async def _return_unsettled(self) -> None:
        """At once; while NATS is away, the end of the ack wait does it."""
        await _nak_all(list(self._settlements.unsettled), 0)
        self._arrived.clear()


async def _nak_all(messages: list[Message], delay_seconds: float) -> None:
    for message in messages:
        if message.kept:
            continue
        try:
            await message.nak(delay_seconds)
        except Unavailable as error:
            log.debug("nak not sent; it is repeated", message=message.msg_id, why=str(error))


async def consume(
    connection: Connection,
    settlements: Settlements,
    spec: ConsumerSpec,
    handle: PageHandler,
    limits: Limits,
    *,
    stop: anyio.Event,
) -> None:
    """Runs until `stop`, then lets the pages in work finish. Raises Unavailable when the connection is lost."""
    try:
        await _Consumption(connection, settlements, spec, limits).run(stop, handle)
    except ExceptionGroup as group:
        # A caller with mail in flight catches Unavailable by name, and waits for NATS.
        causes = leaves(group)
        if all(isinstance(cause, Unavailable) for cause in causes):
            raise causes[0] from None
        raise
