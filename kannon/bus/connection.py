"""What components hold of NATS: publish events and envelopes, consume, wake each other, ask how much is waiting.

In: mail's values. Out: protobuf on the streams of `topology`. The connection (`connection`) is made when first
needed; while it is away every call raises Unavailable and nothing is buffered in memory behind the caller's back.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from kannon.bus import streams
from kannon.bus.bodies import Bodies
from kannon.bus.client import Connection, unavailable
from kannon.bus.consume import Limits, PageHandler, consume
from kannon.bus.dead_letters import DeadLetters
from kannon.bus.gather import answering, ask_all
from kannon.bus.publish import Outgoing
from kannon.errors import Poison, Unavailable
from kannon.mail.destination import SenderView
from kannon.mail.envelope import Envelope, ThrottledDelivery
from kannon.mail.event import Event
from kannon.wire.destinations import decode_view, encode_view
from kannon.wire.envelopes import encode_envelope
from kannon.wire.events import encode_event

log = structlog.get_logger()

REQUEST_SECONDS = 5.0
POSTPONED_SECONDS = 10.0  # a dispatcher's commit; where there is no dispatcher the server says so at once
TAKEN, REFUSED = b"taken", b"refused"
ENVELOPE_OVERHEAD = 16 << 10  # subject, headers and the other fields beside the body, generously


PostponementHandler = Callable[[list[ThrottledDelivery], Callable[[], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a stream, unacknowledged messages included. `age` of the oldest, by NATS's clock; None when nothing
    waits."""

    messages: int
    bytes: int
    age: timedelta | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for the senders. `fresh`: no sender has seen it yet; `handed_over`: grows by one with each it has."""

    backlog: Backlog
    fresh: int
    handed_over: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`last_seq` of the stream, the sequence up to which this consumer settled everything, and what waits for it."""

    last_seq: int
    settled_seq: int
    waiting: int


class Wake:
    """Set by a nudge from another component; `wait` returns at the nudge or after the safety net's interval."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()


class Bus(DeadLetters):
    """One connection of one process; safe to use from any task of its event loop."""

    def __init__(self, url: str, *, replicas: int = 1, name: str = "kannon") -> None:
        """`url`: one or several, separated by commas. `replicas`: on how many servers each stream is kept."""
        self._replicas = replicas
        self._connection = Connection(url, name=name)
        self._bodies = Bodies(self._connection, self._ask, self)
        self._lock = anyio.Lock()

    @property
    def _client(self) -> Client:
        return self._connection.client

    async def ready(self) -> None:
        """Connected, and streams and consumers exist. Components call it first; raises Unavailable, OperatorError."""
        async with self._lock:
            await self._connection.open()
            if not self._connection.ensured:
                with unavailable():
                    js = self._client.jetstream(timeout=REQUEST_SECONDS)
                    await streams.ensure_topology(js, replicas=self._replicas)
                self._connection.ensure()

    async def ping(self) -> None:
        """A round trip to the server. Raises Unavailable."""
        await self._connection.open()
        with unavailable():
            await self._client.flush(timeout=2)

    async def publish_events(self, events: Sequence[Event]) -> None:
        """To kannon.stats.*, acknowledged, told apart by event id. Raises Unavailable: repeat all."""
        await self._publish([Outgoing(streams.STATS_SUBJECTS[e.type], e.event_id, encode_event(e)) for e in events])

    async def publish_bounces(self, events: Sequence[Event]) -> None:
        """To kannon.bounce, under the same event ids."""
        await self._publish([Outgoing(streams.BOUNCE, e.event_id, encode_event(e)) for e in events])

    async def publish_envelopes(self, envelopes: Sequence[Envelope]) -> None:
        """To kannon.sending, ids "<delivery>.<attempt>.<requeues>"; bodies over max_payload to the object store."""
        limit = self._client.max_payload - ENVELOPE_OVERHEAD
        messages = []
        for envelope in envelopes:
            msg_id = f"{envelope.delivery_id}.{envelope.attempt}.{envelope.requeues}"
            body_object = ""
            if len(envelope.body) > limit:
                await self._bodies.put(msg_id, envelope.body)
                body_object = msg_id
            messages.append(Outgoing(streams.SENDING, msg_id, encode_envelope(envelope, body_object=body_object)))
        await self._publish(messages)

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        if not self._connection.ensured:
            await self.ready()
        if self._connection.publisher is not None and messages:
            await self._connection.publisher.publish(messages)

    async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None:
        """Returns when one dispatcher has put their rows back into the pool. Raises Unavailable: none did, or it is not
        known; the call may be repeated."""
        text = json.dumps([[p.delivery_id, p.requeues, p.seconds, p.rate] for p in page])
        await self._connection.open()
        with unavailable():
            answer = await self._client.request(streams.POSTPONED, text.encode(), timeout=POSTPONED_SECONDS)
        if answer.data != TAKEN:
            raise Unavailable("a dispatcher could not take them")

    async def take_throttled(self, handle: PostponementHandler, stop: anyio.Event) -> None:
        """Hands each page to `handle` until `stop`; one of several dispatchers gets it. `handle` calls its second
        argument when the rows are committed; the sender is told to repeat what `handle` raises Unavailable for."""

        async def take(message: Msg) -> None:
            try:
                page = [ThrottledDelivery(*each) for each in json.loads(message.data)]
                await handle(page, partial(self._reply, message, TAKEN))
            except Unavailable as error:
                log.warning("postponed deliveries not rescheduled", why=str(error))
                await self._reply(message, REFUSED)

        async with anyio.create_task_group() as group:

            async def arrived(message: Msg) -> None:
                group.start_soon(take, message)

            async with self._connection.subscribed(streams.POSTPONED, arrived, queue="dispatcher"):
                await stop.wait()

    async def _reply(self, message: Msg, answer: bytes) -> None:
        """An answer that is lost makes the sender ask again."""
        try:
            await self.send(message.reply, answer)
        except Unavailable as error:
            log.debug("an answer is lost", subject=message.subject, why=str(error))

    async def answer_destinations(self, view: Callable[[], SenderView]) -> None:
        """Says what `view` gives to whoever asks, until cancelled."""
        say = answering(self.send, lambda: encode_view(view()))
        async with self._connection.subscribed(streams.ASK_DESTINATIONS, say):
            await anyio.sleep_forever()

    async def ask_destinations(self) -> list[SenderView]:
        """Of every sender that answers within a moment."""
        await self.ready()
        with unavailable():
            answers = await ask_all(self._connection, streams.ASK_DESTINATIONS)
        views = []
        for answer in answers:
            try:
                views.append(decode_view(answer))
            except Poison as error:  # a sender of another version
                log.warning("an answer cannot be read", why=str(error))
        return views

    async def fetch_body(self, name: str) -> bytes:
        """Raises Unavailable; Poison when it is gone for good."""
        return await self._bodies.fetch(name)

    async def delete_body(self, name: str) -> None:
        """After the envelope's outcome is recorded; `sweep_bodies` deletes a body that a crash leaves behind."""
        await self._bodies.delete(name)

    async def sweep_bodies(self) -> None:
        """See `kannon.bus.bodies`."""
        await self._bodies.sweep()

    async def consume(
        self, spec: streams.ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event
    ) -> None:
        """See `kannon.bus.consume`."""
        await self.ready()
        await consume(self._connection, self, spec, handle, limits, stop=stop)

    async def backlog(self, stream: str = "kannon_sending") -> Backlog:
        info = await self._request(f"$JS.API.STREAM.INFO.{stream}")
        state = info["state"]
        age = None
        if state["messages"]:
            age = datetime.fromisoformat(info["ts"]) - datetime.fromisoformat(state["first_ts"])
        return Backlog(state["messages"], state["bytes"], age)

    async def sending_queue(self) -> Queue:
        """The sending stream as its consumer sees it."""
        info = await self._request(f"$JS.API.CONSUMER.INFO.{streams.SENDER.stream}.{streams.SENDER.name}")
        return Queue(
            await self.backlog(streams.SENDER.stream), int(info["num_pending"]), int(info["delivered"]["stream_seq"])
        )

    async def progress(self, spec: streams.ConsumerSpec) -> Progress:
        """How far a consumer has come in its stream."""
        stream = await self._request(f"$JS.API.STREAM.INFO.{spec.stream}")
        consumer = await self._request(f"$JS.API.CONSUMER.INFO.{spec.stream}.{spec.name}")
        return Progress(
            last_seq=stream["state"]["last_seq"],
            settled_seq=consumer["ack_floor"]["stream_seq"],
            waiting=consumer["num_pending"] + consumer["num_ack_pending"],
        )

    async def _request(self, subject: str) -> dict[str, Any]:
        reply = await self._ask(subject)
        if "error" in reply:
            raise Unavailable(f"NATS: {reply['error'].get('description', 'refused')}")
        return reply

    async def _ask(self, subject: str, question: dict[str, object] | None = None) -> dict[str, Any]:
        """The server's own API; an error is part of the answer. Raises Unavailable where there is none."""
        await self._connection.open()
        payload = json.dumps(question).encode() if question else b""
        with unavailable():
            answer = await self._client.request(subject, payload, timeout=REQUEST_SECONDS)
        return json.loads(answer.data)  # type: ignore[no-any-return]  # JSON of the server's own API

    async def send(self, subject: str, payload: bytes) -> None:
        """Core NATS: no acknowledgement. While disconnected it is dropped: what it settles is redelivered."""
        with unavailable():
            await self._client.publish(subject, payload)

    async def notify_validator(self) -> None:
        await self._wake(streams.WAKE_VALIDATOR)

    async def notify_dispatcher(self) -> None:
        await self._wake(streams.WAKE_DISPATCHER)

    async def _wake(self, subject: str) -> None:
        """A nudge may be lost: polling is the safety net, so nothing is raised."""
        if self._client.is_connected:
            try:
                await self._client.publish(subject, b"")
            except (NatsError, OSError) as error:
                log.debug("nudge lost", subject=subject, why=str(error))

    @asynccontextmanager
    async def listen(self, subject: str, stop: anyio.Event) -> AsyncIterator[Wake]:
        """`async with bus.listen(WAKE_VALIDATOR, stop) as wake: await wake.wait(1)`; `stop` wakes it too."""
        wake = Wake()

        async def nudged(_: object) -> None:
            wake.set()

        async def stopped() -> None:
            await stop.wait()
            wake.set()

        async with self._connection.subscribed(subject, nudged), anyio.create_task_group() as group:
            group.start_soon(stopped)
            yield wake
            group.cancel_scope.cancel()

    async def close(self) -> None:
        """Flushes what is written, bounded."""
        await self._connection.close()
