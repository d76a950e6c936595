"""Outcomes: a verdict becomes a recorded event, and only then the envelope is acked.

In: an envelope in flight and its event. Out: kannon.stats.delivered, bounced or error, published in bursts of all that
arrived during the last burst; then the envelopes are acked. While NATS accepts no outcomes they stay in memory, and
`may_send` holds further mails back: a mail is sent only when its outcome can be recorded.
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
MAX_RETRY_SECONDS = 2.0


class Publisher(Protocol):
    async def publish_events(self, events: Sequence[Event]) -> None: ...
    async def delete_body(self, name: str) -> None: ...


class Metrics(Protocol):
    def recorded(self, events: Sequence[Event]) -> None: ...


class Outcomes:
    """`run` is the task that records; `add` and `may_send` are called by deliveries."""

    def __init__(self, bus: Publisher, in_flight: InFlight, metrics: Metrics = NULL_METRICS) -> None:
        self._bus = bus
        self._metrics = metrics
        self._in_flight = in_flight
        self._gathered: list[tuple[InFlightEnvelope, Event]] = []
        self._some = anyio.Event()
        self._open = anyio.Event()
        self._open.set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._gathered)

    async def may_send(self) -> bool:
        """Waits until outcomes can be recorded. False: the process stops."""
        if self.blocked:
            await self._open.wait()
        return not self._stopping

    def stop_waiting(self) -> None:
        """No further mail is sent; outcomes in memory are still recorded."""
        self._stopping = True
        self._open.set()

    @property
    def blocked(self) -> bool:
        return not self._open.is_set()

    def add(self, work: InFlightEnvelope, event: Event) -> None:
        self._gathered.append((work, event))
        self._some.set()

    async def run(self) -> None:
        """Until cancelled. The next run records what is in memory then."""
        self._stopping = False
        while True:
            if not self._gathered:
                self._some = anyio.Event()
                await self._some.wait()
            burst = list(self._gathered)
            # Recorded durably first, acked second. A crash before the record costs a second copy of these mails,
            # because only this process knows the servers' 250s: hence at once, and not on a timer. A crash before the
            # acks costs nothing: envelopes and events are repeated under the same ids.
            events = [event for _, event in burst]
            await self._record(events)
            self._metrics.recorded(events)
            del self._gathered[: len(burst)]
            for work, event in burst:
                self._in_flight.recorded(work, event)
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
                    log.warning("cannot record outcomes; sending is paused", waiting=len(self), why=str(error))
                    self._open = anyio.Event()
                await anyio.sleep(delay)
                delay = min(2 * delay, MAX_RETRY_SECONDS)
                continue
            if self.blocked:
                log.info("outcomes are recorded again; sending resumes")
                self._open.set()
            return

    async def delete_body(self, name: str) -> None:
        """Of an envelope that is settled. Where that fails, the bus's sweep deletes it."""
        try:
            await self._bus.delete_body(name)
        except Unavailable as error:
            log.warning("cannot delete a body from the object store", body=name, why=str(error))


def event_of(envelope: Envelope, verdict: Verdict, at: datetime) -> Event:
    """The event of one attempt. Without a reply the code is 0, and the text names the stage and the failure."""
    match verdict:
        case Delivered():
            kind, stage, reply, retry_after = EventType.DELIVERED, "", verdict.reply, None
        case Refused():
            kind, stage, reply, retry_after = EventType.BOUNCED, verdict.stage.value, verdict.reply, None
        case Deferred():
            kind, stage, retry_after = EventType.ERROR, verdict.stage.value, verdict.retry_after
            reply = verdict.reply or Reply(0, f"{stage}: {verdict.reason}", verdict.enhanced)
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
