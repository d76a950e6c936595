"""Outcomes: from a verdict to a recorded event, and only then to an acknowledged envelope.

In: a piece of work and its event. Out: kannon.stats.delivered, bounced or error, published in bursts of whatever has
gathered while the last burst was under way; then the envelopes are acked. While NATS takes no outcomes they stay in
memory and `may_send` holds further mails back: what cannot be recorded is not sent.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import anyio
import structlog

from kannon.components.sender.inflight import InFlight, InFlightEnvelope
from kannon.errors import Unavailable
from kannon.mail.envelope import Envelope
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.mail.verdict import Deferred, Delivered, Refused, Reply, Verdict
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

RETRY_SECONDS = 0.2
MAX_RETRY_SECONDS = 5.0


class Publisher(Protocol):
    async def publish_events(self, events: Sequence[Event]) -> None: ...
    async def delete_body(self, name: str) -> None: ...


class Meter(Protocol):
    def recorded(self, events: Sequence[Event]) -> None: ...


class Outcomes:
    """`run` is the task that records; `add` and `may_send` are called by deliveries."""

    def __init__(self, bus: Publisher, ledger: InFlight, meter: Meter = NULL_METRICS) -> None:
        self._bus = bus
        self._meter = meter
        self._ledger = ledger
        self._gathered: list[tuple[InFlightEnvelope, Event]] = []
        self._some = anyio.Event()
        self._open = anyio.Event()
        self._open.set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._gathered)

    async def may_send(self) -> bool:
        """True at once, or when outcomes can be recorded again; False when the process stops before that."""
        if self.blocked:
            await self._open.wait()
        return not self._stopping

    def stop_waiting(self) -> None:
        """Nothing new is sent from here on; what is in memory is still recorded."""
        self._stopping = True
        self._open.set()

    @property
    def blocked(self) -> bool:
        return not self._open.is_set()

    def add(self, work: InFlightEnvelope, event: Event) -> None:
        self._gathered.append((work, event))
        self._some.set()

    async def run(self) -> None:
        """For ever; what is in memory when it is cancelled is recorded by the next run."""
        self._stopping = False
        while True:
            if not self._gathered:
                self._some = anyio.Event()
                await self._some.wait()
            burst = list(self._gathered)
            # Recorded durably first, acked second. A crash before the record costs a second copy of these mails, since
            # the peers' 250s were known to this memory only: hence at once, and not on a timer. A crash before the
            # acks costs nothing: the envelopes come again, and so may their events, under the same ids.
            events = [event for _, event in burst]
            await self._record(events)
            self._meter.recorded(events)
            del self._gathered[: len(burst)]
            for work, event in burst:
                self._ledger.recorded(work, event)
            for work, _ in burst:
                await work.ack()
            for work, _ in burst:
                if work.body_object:
                    await self.delete_body(work.body_object)

    async def _record(self, events: Sequence[Event]) -> None:
        delay = RETRY_SECONDS
        while True:
            try:
                await self._bus.publish_events(events)
            except Unavailable as error:
                if not self.blocked and not self._stopping:
                    log.warning("outcomes cannot be recorded, sending stops", waiting=len(self), why=str(error))
                    self._open = anyio.Event()
                await anyio.sleep(delay)
                delay = min(2 * delay, MAX_RETRY_SECONDS)
                continue
            if self.blocked:
                log.info("outcomes can be recorded again, sending goes on")
                self._open.set()
            return

    async def delete_body(self, name: str) -> None:
        """Of an envelope that is settled. Where that fails, the bus's sweep deletes it."""
        try:
            await self._bus.delete_body(name)
        except Unavailable as error:
            log.warning("a body stays in the object store", body=name, why=str(error))


def event_of(envelope: Envelope, verdict: Verdict, at: datetime) -> Event:
    """What is reported of one try. Without a reply the code is 0 and the text says at which stage what went wrong."""
    match verdict:
        case Delivered():
            kind, stage, reply, retry_after = EventType.DELIVERED, "", verdict.reply, None
        case Refused():
            kind, stage, reply, retry_after = EventType.BOUNCED, verdict.stage.value, verdict.reply, None
        case Deferred():
            kind, stage, retry_after = EventType.ERROR, verdict.stage.value, verdict.retry_after
            reply = verdict.reply or Reply(0, f"{stage}: {verdict.reason}")
    return Event(
        event_id=delivery_event_id(envelope.delivery_id, envelope.attempt, kind),
        type=kind,
        domain=envelope.domain,
        message_id=envelope.message_id,
        email=envelope.rcpt_to,
        at=at,
        delivery_id=envelope.delivery_id,
        attempt=envelope.attempt,
        permanent=kind is EventType.BOUNCED,
        code=reply.code,
        enhanced_status=reply.enhanced,
        text=reply.text,
        stage=stage,
        host=verdict.host,
        tls=verdict.tls,
        retry_after_seconds=retry_after or 0,
    )
