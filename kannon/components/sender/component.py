"""sender: consumes envelopes, delivers them, and publishes the outcome of each attempt.

In: kannon.sending. Out: kannon.stats.delivered, bounced (permanent) or error, one for each attempt. A throttled
envelope goes back to the stream, or to the pool when it has to wait longer; this is no attempt. An envelope that is
redelivered, or was stored before this process consumed, is sent only if other processes know of no outcome. After a
freeze, no final dot is written for the envelopes that came before it, for another sender may have them. Mails in
flight belong to the sender's own task group and not to the consumer that delivered them: when NATS goes away meanwhile,
they are finished, and their outcomes kept until it is back. It never touches PostgreSQL.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.bus.consume import MAX_FAILURES, Limits, PageHandler
from kannon.bus.redelivered import Held, SenderAnswer
from kannon.bus.settle import Message
from kannon.bus.streams import SENDER, ConsumerSpec
from kannon.components.sender import outcomes
from kannon.components.sender.freezes import FreezeWatch, boot_clock
from kannon.components.sender.inflight import Arrival, InFlight, InFlightEnvelope, Page
from kannon.components.sender.outcomes import Outcomes, Publisher, event_of
from kannon.components.sender.redelivered import Asker, Redelivered
from kannon.components.sender.throttled import ThrottledReturns
from kannon.components.sender.tls_results import TlsPublisher, TlsResultPages
from kannon.errors import Poison, Unavailable
from kannon.hostname import process_name
from kannon.mail.destination import Destination, SenderView
from kannon.mail.envelope import Envelope, RedeliveredEnvelope, ThrottledDelivery
from kannon.mail.event import Event, EventType
from kannon.mail.verdict import Delivered, Verdict
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.outbound import Throttled
from kannon.outbound.shares import REPORT_SECONDS
from kannon.outbound.tls_results import TlsResults
from kannon.pb.mailer.types.mailer_types_pb2 import EmailToSend
from kannon.wire.envelopes import parse_envelope, to_envelope

log = structlog.get_logger()

PAGE = 200
LARGE_BODIES = 8  # of mails too large for one bus message: at most that many times message.max_bytes in memory
BODY_RETRY_SECONDS = 2.0
POOL_SECONDS = 5.0  # shorter waits pass in the stream: claiming and signing again costs more
FIRST_RECONNECT_SECONDS = 0.25
MAX_RECONNECT_SECONDS = 2.0
MAX_DESTINATIONS = 1000  # in one answer, which is one bus message
_LOGGED_AS = {EventType.DELIVERED: "delivered", EventType.ERROR: "deferred", EventType.BOUNCED: "bounced"}


class Bus(Publisher, Asker, TlsPublisher, Protocol):
    async def ready(self) -> None: ...
    async def newest_envelope(self) -> int: ...
    async def fetch_body(self, name: str) -> bytes: ...
    async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None: ...
    async def serve_senders(self, answer: SenderAnswer) -> None: ...
    async def serve_destinations(self, view: Callable[[], SenderView]) -> None: ...
    async def meet_senders(self, report: SenderView, hear: Callable[[SenderView], None]) -> None: ...
    async def report_to_senders(
        self, report: Callable[[], SenderView], hear: Callable[[SenderView], None], *, seconds: float
    ) -> None: ...
    async def consume(self, spec: ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event) -> None: ...


class Metrics(outcomes.Metrics, Protocol):
    def tried(self, seconds: float) -> None: ...
    def delivered(self, waited: float) -> None: ...


class Deliverer(AbstractAsyncContextManager[object], Protocol):
    """kannon.outbound.Deliverer, or the sandbox."""

    @property
    def capacity(self) -> int: ...
    async def deliver(self, envelope: Envelope, held: Callable[[], bool] = ...) -> Verdict | Throttled: ...
    def cancel_waiters(self) -> None: ...
    def destinations(self) -> list[Destination]: ...
    def report(self) -> SenderView: ...
    def hear(self, view: SenderView) -> None: ...


class Sender:
    """One instance a process; several processes share the consumer."""

    name = "sender"

    def __init__(
        self,
        deliverer: Deliverer,
        bus: Bus,
        *,
        clock: Callable[[], datetime],
        max_bytes: int = 0,
        alone: bool = False,
        metrics: Metrics = NULL_METRICS,
        tls_results: TlsResults | None = None,
        boot_clock: Callable[[], float] = boot_clock,
    ) -> None:
        """`max_bytes`: of all envelopes in flight; 0: the deliverer's capacity is the only limit. `alone`: no other
        sender is on this NATS, so there are no limits to share. `tls_results`: those that the deliverer counts, to
        publish."""
        self._tls_results = TlsResultPages(bus, tls_results) if tls_results is not None else None
        self._deliverer = deliverer
        self._bus = bus
        self._clock = clock
        self._max_bytes = max_bytes
        self._alone = alone
        self._metrics = metrics
        self._in_flight = InFlight()
        self._outcomes = Outcomes(bus, self._in_flight, metrics)
        self._throttled = ThrottledReturns(bus, self._in_flight)
        self._redelivered = Redelivered(bus, self._in_flight, self._start)
        self._freezes = FreezeWatch(boot_clock)
        self._frozen_before = 0  # the count when the last page came
        self._older_until = sys.maxsize  # sequences: another process may have sent these envelopes
        self._large = anyio.CapacityLimiter(LARGE_BODIES)
        self._group: asyncio.TaskGroup | None = None

    def destinations(self) -> list[Destination]:
        """The state of each MX site, the busiest first."""
        return self._deliverer.destinations()

    def _view(self) -> SenderView:
        destinations = self.destinations()
        return SenderView(process_name(), tuple(destinations[:MAX_DESTINATIONS]), len(destinations))

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await self._bus.ready()
        async with self._deliverer, anyio.create_task_group() as recorder:
            recorder.start_soon(self._outcomes.run)
            recorder.start_soon(self._throttled.run)
            recorder.start_soon(self._redelivered.run)
            recorder.start_soon(self._freezes.run)
            if self._tls_results is not None:
                recorder.start_soon(self._tls_results.run)
            recorder.start_soon(self._bus.serve_senders, self._held)
            recorder.start_soon(self._bus.serve_destinations, self._view)
            if not self._alone:
                # Before the first mail: other senders' shares of the limits hold from the beginning.
                await self._bus.meet_senders(self._deliverer.report(), self._deliverer.hear)
                exchange = partial(self._bus.report_to_senders, seconds=REPORT_SECONDS)
                recorder.start_soon(exchange, self._deliverer.report, self._deliverer.hear)
            recorder.start_soon(self._cancel_waiters, stop)
            self._older_until = await self._newest_envelope()
            # asyncio's task group: a task of anyio costs as much as sending a mail.
            async with asyncio.TaskGroup() as group:
                self._group = group
                task_status.started()
                await self._consume(stop)
            # Every mail in flight has its verdict now. Wait until every verdict is recorded.
            await self._in_flight.wait_empty()
            if self._tls_results is not None:
                await self._tls_results.flush()
            recorder.cancel_scope.cancel()

    async def handle_page(self, page: list[Message]) -> None:
        """Returns when every message of the page is settled."""
        freezes = self._freezes.count()
        if freezes != self._frozen_before:  # a page that came meanwhile may have been delivered to another sender too
            self._older_until = sys.maxsize
            self._frozen_before = freezes
        if self._older_until == sys.maxsize:
            self._older_until = await self._newest_envelope()
        progress = Page(len(page))
        for message in page:
            await self._begin(message, progress)
        await progress.settled.wait()

    def _held(self, asked: RedeliveredEnvelope) -> Held | None:
        """The reply to another sender, which acknowledges the envelope of a recorded outcome. If NATS has lost the
        outcome, it is published again: else the pool would wait for it, and ask with another envelope."""
        if event := self._in_flight.lost_outcome(asked):
            key = asked.delivery_id, asked.attempt
            self._outcomes.add(InFlightEnvelope(key, asked.requeues, "", []), event)
        return self._in_flight.held(asked)

    async def _consume(self, stop: anyio.Event) -> None:
        """Until stop. Unavailable is not raised, because mails are in flight: it waits for NATS."""
        capacity = self._deliverer.capacity
        limits = Limits(min(PAGE, capacity), capacity, pages_at_once=capacity, bytes_in_flight=self._max_bytes)
        delay = FIRST_RECONNECT_SECONDS
        while not stop.is_set():
            began = anyio.current_time()
            try:
                await self._bus.consume(SENDER, self.handle_page, limits, stop=stop)
            except Unavailable as error:
                log.warning("cannot consume kannon.sending; retrying", why=str(error), in_flight=len(self._in_flight))
                if anyio.current_time() - began > MAX_RECONNECT_SECONDS:
                    delay = FIRST_RECONNECT_SECONDS
                with anyio.move_on_after(delay):
                    await stop.wait()
                delay = min(2 * delay, MAX_RECONNECT_SECONDS)
                self._older_until = await self._newest_envelope()

    async def _newest_envelope(self) -> int:
        """At the start, and when NATS is back. While it cannot be read, every envelope is asked about."""
        try:
            return await self._bus.newest_envelope()
        except Unavailable as error:
            log.debug("cannot read the newest envelope", why=str(error))
            return sys.maxsize

    async def _cancel_waiters(self, stop: anyio.Event) -> None:
        await stop.wait()
        self._outcomes.stop_waiting()
        self._deliverer.cancel_waiters()

    async def _begin(self, message: Message, page: Page) -> None:
        try:
            parsed = parse_envelope(message.payload)
        except Poison as poison:
            await InFlightEnvelope((0, 0), 0, "", [(message, page)]).dead_letter(str(poison))
            return
        key = int(parsed.email_id), parsed.attempt
        work = InFlightEnvelope(key, parsed.turn, parsed.body_object, [(message, page)], self._frozen_before)
        message.keep()
        arrival = self._in_flight.add(work)
        if arrival is Arrival.RECORDED:
            if event := self._in_flight.lost_outcome(work.redelivered()):
                self._outcomes.add(work, event)
            else:
                await work.ack()
                if work.body_object:  # a crash or an outage may have kept it from being deleted with its outcome
                    await self._outcomes.delete_body(work.body_object)
        elif arrival is Arrival.NEW:
            # A power cut takes the consumer's progress: an envelope that was sent comes as if for the first time. One
            # that was requeued has a predecessor, which another sender may have in flight if NATS lost its store.
            doubtful = message.num_delivered > 1 or message.sequence <= self._older_until or parsed.turn > 0
            if doubtful and not self._in_flight.is_open(work.redelivered()):
                self._redelivered.add(work, parsed)
            else:
                self._start(work, parsed)

    def _start(self, work: InFlightEnvelope, parsed: EmailToSend) -> None:
        assert self._group is not None, "pages come while run is running"  # noqa: S101  # for the type checker
        self._group.create_task(self._process(work, parsed))

    async def _process(self, work: InFlightEnvelope, parsed: EmailToSend) -> None:
        """One envelope to its verdict, or back to the stream or the pool."""
        try:
            if not parsed.body_object:
                await self._deliver(work, to_envelope(parsed, parsed.body))
            elif self._large.available_tokens >= 1:
                async with self._large:
                    body = await self._bus.fetch_body(parsed.body_object)
                    await self._deliver(work, to_envelope(parsed, body))
            else:
                await self._requeue(work, BODY_RETRY_SECONDS)
        except Unavailable as error:
            log.warning(
                "cannot fetch a body; retrying",
                batch=parsed.message_id,
                delivery=work.key[0],
                recipient=parsed.to,
                body=parsed.body_object,
                why=str(error),
            )
            await self._requeue(work, BODY_RETRY_SECONDS)
        except (Poison, OverflowError) as error:  # OverflowError: a due_at beyond the calendar
            self._in_flight.remove(work)
            await work.dead_letter(str(error))
        except Exception:
            # A bug that one envelope meets must not end the deliveries of the others.
            log.exception(
                "cannot process an envelope",
                batch=parsed.message_id,
                delivery=work.key[0],
                attempt=work.key[1],
                recipient=parsed.to,
            )
            await self._retry_or_park(work)
        except BaseException:
            self._in_flight.remove(work)  # cancelled: to the next run it is new
            for message, _ in work.messages:
                message.release()
            raise

    async def _deliver(self, work: InFlightEnvelope, envelope: Envelope) -> None:
        if not await self._outcomes.may_send():
            await self._requeue(work, 0.0)
            return
        started = anyio.current_time()
        verdict = await self._deliverer.deliver(envelope, partial(self._holds, work))
        if isinstance(verdict, Throttled):
            if verdict.retry_in >= POOL_SECONDS and not work.body_object:
                self._throttled.add(work, _throttled_delivery(envelope, verdict))
            else:
                await self._requeue(work, verdict.retry_in)
            return
        now = self._clock()
        self._metrics.tried(anyio.current_time() - started)
        event = event_of(envelope, verdict, now)
        if isinstance(verdict, Delivered):
            self._metrics.delivered((now - envelope.due_at).total_seconds())
        _log_attempt(event)
        self._outcomes.add(work, event)

    def _holds(self, work: InFlightEnvelope) -> bool:
        return self._alone or work.freezes == self._freezes.count()

    async def _requeue(self, work: InFlightEnvelope, delay_seconds: float) -> None:
        self._in_flight.returned(work)
        await work.nak(delay_seconds)

    async def _retry_or_park(self, work: InFlightEnvelope) -> None:
        message, _ = work.messages[0]
        if message.num_delivered < MAX_FAILURES:
            await self._requeue(work, BODY_RETRY_SECONDS)
        else:
            self._in_flight.remove(work)
            await work.dead_letter(f"processing failed {MAX_FAILURES} times")


def _log_attempt(event: Event) -> None:
    """One line for each attempt."""
    log.info(
        _LOGGED_AS[event.type],
        batch=event.message_id,
        delivery=event.delivery_id,
        attempt=event.attempt,
        domain=event.domain,
        recipient=event.email,
        host=event.host,
        tls=event.tls or "none",
        **({"stage": event.stage} if event.stage else {}),
        reply=" ".join(filter(None, (str(event.code or ""), event.enhanced_status, event.text))),
    )


def _throttled_delivery(envelope: Envelope, throttled: Throttled) -> ThrottledDelivery:
    return ThrottledDelivery(
        envelope.delivery_id, envelope.requeues, throttled.retry_in, throttled.rate, envelope.domain, throttled.reason
    )
