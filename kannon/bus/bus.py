"""What components are given of NATS: publish, consume, notify each other, ask how much is waiting.

In: mail's values. Out: protobuf on the streams of `streams`. The connection is made when first needed; while it is lost
every call raises Unavailable, and no message is buffered in memory behind the caller's back.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar
from uuid import uuid4

import anyio
import structlog

from kannon.bus import gather, notify, policies, redelivered, senders, streams, throttled, warm_up
from kannon.bus.backlog import (
    Backlog,
    Progress,
    Queue,
    purge_settled,
    read_backlog,
    read_last_sequence,
    read_progress,
    read_sending_queue,
)
from kannon.bus.bodies import Bodies
from kannon.bus.connection import Connection, unavailable
from kannon.bus.consume import Limits, PageHandler, consume
from kannon.bus.dead_letters import DeadLetter, DeadLetters
from kannon.bus.events import pack
from kannon.bus.publish import Outgoing
from kannon.bus.rewind import return_pending, rewind_consumers
from kannon.bus.settle import Settlements
from kannon.errors import Poison
from kannon.mail.destination import SenderView
from kannon.mail.envelope import Envelope, RedeliveredEnvelope, ThrottledDelivery
from kannon.mail.event import Event
from kannon.mail.node import Node
from kannon.mail.tls_report import TlsCount, encode_counts
from kannon.pb.admin.v1 import nodes_pb2
from kannon.wire.destinations import decode_view, encode_view
from kannon.wire.envelopes import encode_envelope
from kannon.wire.nodes import encode_node, parse_node

log = structlog.get_logger()
Reply = TypeVar("Reply")

ENVELOPE_OVERHEAD = 16 << 10  # subject, headers and the other fields beside the body, generously
PING_PAYLOAD = bytes(4096)  # a disk block of its own: a small message fits into the last one of a full disk


class Bus:
    """One connection of one process; safe to use from any task of its event loop. Every method may raise
    Unavailable."""

    def __init__(self, url: str, *, replicas: int = 1, syncs: bool = False, name: str = "kannon") -> None:
        """`url`: one or several, separated by commas. `replicas`: on how many servers each stream is stored. `syncs`:
        the server is embedded and syncs every message, but those of restorable streams."""
        self._replicas = replicas
        self._syncs = syncs
        self._connection = Connection(url, name=name)
        self._bodies = Bodies(self._connection)
        self._dead_letters = DeadLetters(self._connection, self._publish, self._bodies)
        self._questions = redelivered.Questions(self._connection)
        self._settlements: dict[streams.ConsumerSpec, Settlements] = {}
        self._lock = anyio.Lock()

    async def ready(self) -> None:
        """Connects and ensures streams and consumers. Components call it first. Raises OperatorError, too."""
        async with self._lock:
            await self._connection.open()
            if not self._connection.ensured:
                with unavailable():
                    await streams.ensure_topology(
                        self._connection.jetstream(), replicas=self._replicas, syncs=self._syncs
                    )
                await rewind_consumers(self._connection)
                if self._syncs and self._connection.count == 1:
                    await return_pending(self._connection)
                self._connection.ensure()

    async def ping(self) -> None:
        """Has JetStream store a message. Fails also while messages of other calls are not acknowledged."""
        await self._publish([Outgoing(streams.PING, uuid4().hex, PING_PAYLOAD)])
        if self._connection.publisher is not None:
            self._connection.publisher.check()

    async def close(self) -> None:
        """Flushes what is written, within a time limit."""
        await self._connection.close()

    # Publishing: acknowledged when the call returns; after Unavailable repeat all, under the same ids.

    async def publish_events(self, events: Sequence[Event]) -> None:
        """To kannon.stats.*, many in one message. The consumers count and settle an event id once."""
        await self._publish(pack(events, lambda event: streams.STATS_SUBJECTS[event.type]))

    async def publish_bounces(self, events: Sequence[Event]) -> None:
        """To kannon.bounce, under the same event ids."""
        await self._publish(pack(events, lambda _: streams.BOUNCE))

    async def publish_tls_results(self, page_id: str, counts: Sequence[TlsCount]) -> None:
        """To kannon.tls_results. A page with the same id is counted once."""
        payload = page_id.encode() + b"\n" + encode_counts(counts)
        await self._publish([Outgoing(streams.TLS_RESULTS, page_id, payload)])

    async def publish_envelopes(self, envelopes: Sequence[Envelope]) -> None:
        """To kannon.sending.*, ids "<delivery>.<attempt>.<requeues>"; bodies over max_payload to the object store."""
        limit = self._connection.client.max_payload - ENVELOPE_OVERHEAD
        messages = []
        for envelope in envelopes:
            msg_id = f"{envelope.delivery_id}.{envelope.attempt}.{envelope.requeues}"
            body_object = ""
            if len(envelope.body) > limit:
                await self._bodies.put(msg_id, envelope.body)
                body_object = msg_id
            messages.append(
                Outgoing(
                    streams.sending_subject(envelope.delivery_id),
                    msg_id,
                    encode_envelope(envelope, body_object=body_object),
                )
            )
        await self._publish(messages)

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        if not self._connection.ensured:
            await self.ready()
        if self._connection.publisher is not None and messages:
            await self._connection.publisher.publish(messages)

    # Consuming, and how much there is to consume.

    async def consume(
        self, spec: streams.ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event
    ) -> None:
        """See `kannon.bus.consume`."""
        await self.ready()
        if spec not in self._settlements:
            self._settlements[spec] = Settlements(self._connection, self._dead_letters, spec)
        await consume(self._connection, self._settlements[spec], spec, handle, limits, stop=stop)

    async def backlog(self, stream: str = "kannon_sending") -> Backlog:
        return await read_backlog(self._connection, stream)

    async def sending_queue(self) -> Queue:
        return await read_sending_queue(self._connection)

    async def purge_settled(self) -> None:
        """See `kannon.bus.backlog`."""
        await purge_settled(self._connection)

    async def newest_envelope(self) -> int:
        """The sequence of the envelope that was stored last."""
        return await read_last_sequence(self._connection, streams.SENDER.stream)

    @property
    def restarts(self) -> int:
        """How often the embedded server was connected to anew: it may have been killed, and then it has lost the
        restorable messages of the last moment. Always 0 with external servers, which write each message."""
        return self._connection.count if self._syncs else 0

    async def progress(self, spec: streams.ConsumerSpec) -> Progress:
        """How far a consumer has come in its stream."""
        return await read_progress(self._connection, spec)

    # Bodies in the object store: see `kannon.bus.bodies`.

    async def fetch_body(self, name: str) -> bytes:
        """Raises Poison where the store does not hold it any longer."""
        return await self._bodies.fetch(name)

    async def delete_body(self, name: str) -> None:
        """After the envelope's outcome is recorded; `sweep_bodies` deletes a body that a crash leaves behind."""
        await self._bodies.delete(name)

    async def sweep_bodies(self) -> None:
        await self._bodies.sweep(self._dead_letters)

    # Dead letters: see `kannon.bus.dead_letters`.

    async def add_dead_letter(self, subject: str, payload: bytes, reason: str) -> None:
        await self._dead_letters.add(subject, payload, reason)

    async def list_dead_letters(self, *, after: int, take: int) -> tuple[list[DeadLetter], int]:
        return await self._dead_letters.page(after=after, take=take)

    async def retry_dead_letters(self, sequence: int) -> bool:
        return await self._dead_letters.retry(sequence)

    async def delete_dead_letters(self, sequence: int) -> bool:
        return await self._dead_letters.delete(sequence)

    # Core NATS: notifications, requests, scatter-gather.

    async def notify_validator(self) -> None:
        """Never raises."""
        await notify.notify(self._connection, streams.NOTIFY_VALIDATOR)

    async def notify_dispatcher(self) -> None:
        """Never raises."""
        await notify.notify(self._connection, streams.NOTIFY_DISPATCHER)

    async def notify_webhooks(self) -> None:
        """Never raises."""
        await notify.notify(self._connection, streams.NOTIFY_WEBHOOKS)

    async def notify_keys_changed(self) -> None:
        """To every dispatcher. Never raises."""
        await notify.notify(self._connection, streams.KEYS_CHANGED)

    def listen(self, subject: str, stop: anyio.Event) -> AbstractAsyncContextManager[notify.Notification]:
        """`async with bus.listen(NOTIFY_VALIDATOR, stop) as notification: await notification.wait(1)`"""
        return notify.listen(self._connection, subject, stop)

    async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None:
        """Returns when one dispatcher has committed their rows. The call may be repeated."""
        await throttled.request_return(self._connection, page)

    async def take_throttled(self, handle: throttled.ThrottledHandler, stop: anyio.Event) -> None:
        """See `kannon.bus.throttled.serve_returns`."""
        await throttled.serve_returns(self._connection, handle, stop)

    async def ask_senders(self, page: Sequence[RedeliveredEnvelope]) -> dict[redelivered.Key, redelivered.Held]:
        """See `kannon.bus.redelivered`, here and below."""
        return await self._questions.ask_senders(page)

    async def serve_senders(self, answer: redelivered.SenderAnswer) -> None:
        await self._questions.serve_senders(answer)

    async def ask_dispatcher(self, page: Sequence[RedeliveredEnvelope]) -> set[redelivered.Key]:
        return await self._questions.ask_dispatcher(page)

    async def serve_dispatcher(self, answer: redelivered.DispatcherAnswer, stop: anyio.Event) -> None:
        await self._questions.serve_dispatcher(answer, stop)

    async def serve_destinations(self, view: Callable[[], SenderView]) -> None:
        """Replies to `gather_destinations` with what `view` returns, until cancelled."""
        await gather.reply_to_gather(self._connection, streams.GATHER_DESTINATIONS, lambda: encode_view(view()))

    async def meet_senders(self, report: SenderView, hear: senders.Hear) -> None:
        """See `kannon.bus.senders.meet`."""
        await senders.meet(self._connection, report, hear)

    async def report_to_senders(self, report: Callable[[], SenderView], hear: senders.Hear, *, seconds: float) -> None:
        """See `kannon.bus.senders.exchange`."""
        await senders.exchange(self._connection, report, hear, seconds=seconds)

    async def serve_node(self, describe: Callable[[], Node]) -> None:
        """Replies to `gather_nodes`, until cancelled."""
        await self._connection.open()
        await gather.reply_to_gather(self._connection, streams.GATHER_NODES, lambda: encode_node(describe()))

    async def gather_nodes(self) -> list[nodes_pb2.Node]:
        """Every process that replies in time."""
        await self.ready()
        return await self._gather(streams.GATHER_NODES, parse_node)

    # MTA-STS policies: see `kannon.bus.policies`.

    async def get_policy(self, domain: str) -> bytes | None:
        return await policies.get(self._connection, domain)

    async def put_policy(self, domain: str, value: bytes) -> None:
        await policies.put(self._connection, domain, value)

    async def list_policies(self) -> list[str]:
        return await policies.domains(self._connection)

    # Warm-ups: see `kannon.bus.warm_up`.

    async def take_warm_up(self, key: str, count: int, limit: int) -> tuple[int, int]:
        return await warm_up.take(self._connection, key, count, limit)

    async def return_warm_up(self, key: str, count: int) -> None:
        await warm_up.subtract(self._connection, key, count)

    async def gather_destinations(self) -> list[SenderView]:
        """The destinations of every sender that replies in time."""
        await self.ready()
        return await self._gather(streams.GATHER_DESTINATIONS, decode_view)

    async def _gather(self, subject: str, decode: Callable[[bytes], Reply]) -> list[Reply]:
        replies = []
        for reply in await gather.gather(self._connection, subject):
            try:
                replies.append(decode(reply))
            except Poison as error:  # a process of another version
                log.warning("a reply cannot be read", subject=subject, why=str(error))
        return replies
