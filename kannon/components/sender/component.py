"""sender: takes envelopes off the bus, has them delivered, and reports what came of each.

In: kannon.sending. Out: kannon.stats.delivered, bounced (permanent) or error, one per try; a destination without room
puts the envelope back into the stream, or for longer into the pool, which is no try. Mails in flight belong to the
sender's own task group, not to the consumption that brought them: when NATS goes away in the middle, they are finished
and their outcomes kept until it is back. It never touches PostgreSQL.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

from kannon.bus.consume import MAX_FAILURES, Limits, Message, PageHandler
from kannon.bus.streams import SENDER, ConsumerSpec
from kannon.components.sender import outcomes
from kannon.components.sender.inflight import Arrival, InFlight, InFlightEnvelope, Page
from kannon.components.sender.outcomes import Outcomes, Publisher, event_of
from kannon.components.sender.throttled import ThrottledReturns
from kannon.errors import Poison, Unavailable
from kannon.hostname import process_name
from kannon.mail.destination import Destination, SenderView
from kannon.mail.envelope import Envelope, ThrottledDelivery
from kannon.mail.verdict import Delivered, Verdict
from kannon.metrics.null_metrics import NULL_METRICS
from kannon.outbound import Throttled
from kannon.pb.mailer.types.mailer_types_pb2 import EmailToSend
from kannon.wire.envelopes import parse_envelope, to_envelope

log = structlog.get_logger()

PAGE = 200
BODIES_AT_ONCE = 8  # of mails too large for one bus message: at most so many times message.max_bytes in memory
BODY_RETRY_SECONDS = 2.0
POSTPONE_SECONDS = 5.0  # shorter waits are spent in the stream: claiming and signing again costs more
MAX_RECONNECT_SECONDS = 5.0
TOLD = 1000  # destinations in one answer, which is one message of the bus


class Bus(Publisher, Protocol):
    async def ready(self) -> None: ...
    async def fetch_body(self, name: str) -> bytes: ...
    async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None: ...
    async def answer_destinations(self, view: Callable[[], SenderView]) -> None: ...
    async def consume(self, spec: ConsumerSpec, handle: PageHandler, limits: Limits, *, stop: anyio.Event) -> None: ...


class Meter(outcomes.Meter, Protocol):
    def tried(self, seconds: float) -> None: ...
    def delivered(self, waited: float) -> None: ...


class Deliverer(AbstractAsyncContextManager[object], Protocol):
    """kannon.outbound.Deliverer, or the sandbox."""

    @property
    def capacity(self) -> int: ...
    async def deliver(self, envelope: Envelope) -> Verdict | Throttled: ...
    def turn_away(self) -> None: ...
    def destinations(self) -> list[Destination]: ...


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
        meter: Meter = NULL_METRICS,
    ) -> None:
        """`max_bytes` of envelopes are in work at most; 0: as many as the deliverer has room for."""
        self._deliverer = deliverer
        self._bus = bus
        self._clock = clock
        self._max_bytes = max_bytes
        self._meter = meter
        self._ledger = InFlight()
        self._outcomes = Outcomes(bus, self._ledger, meter)
        self._postponed = ThrottledReturns(bus, self._ledger)
        self._large = anyio.CapacityLimiter(BODIES_AT_ONCE)
        self._group: asyncio.TaskGroup | None = None

    def destinations(self) -> list[Destination]:
        """How each MX site is doing, the busiest first."""
        return self._deliverer.destinations()

    def _view(self) -> SenderView:
        destinations = self.destinations()
        return SenderView(process_name(), tuple(destinations[:TOLD]), len(destinations))

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await self._bus.ready()
        async with self._deliverer, anyio.create_task_group() as recorder:
            recorder.start_soon(self._outcomes.run)
            recorder.start_soon(self._postponed.run)
            recorder.start_soon(self._bus.answer_destinations, self._view)
            recorder.start_soon(self._turn_away, stop)
            # asyncio's own task group: a task of anyio's costs as much as sending a mail.
            async with asyncio.TaskGroup() as group:
                self._group = group
                task_status.started()
                await self._consume(stop)
            # Every mail in flight has its verdict by now; those not recorded yet are waited for.
            await self._ledger.empty()
            recorder.cancel_scope.cancel()

    async def handle_page(self, page: list[Message]) -> None:
        """Returns when every message of the page is settled, in whatever order."""
        progress = Page(len(page))
        for message in page:
            await self._begin(message, progress)
        await progress.settled.wait()

    async def _consume(self, stop: anyio.Event) -> None:
        """Until stop. NATS away is not the end of the mails in flight, so it is waited for here and not raised."""
        capacity = self._deliverer.capacity
        limits = Limits(min(PAGE, capacity), capacity, pages_at_once=capacity, bytes_in_flight=self._max_bytes)
        delay = 0.5
        while not stop.is_set():
            try:
                await self._bus.consume(SENDER, self.handle_page, limits, stop=stop)
            except Unavailable as error:
                log.warning("no envelopes to be had", why=str(error), in_work=len(self._ledger))
                with anyio.move_on_after(delay):
                    await stop.wait()
                delay = min(2 * delay, MAX_RECONNECT_SECONDS)

    async def _turn_away(self, stop: anyio.Event) -> None:
        await stop.wait()
        self._outcomes.stop_waiting()
        self._deliverer.turn_away()

    async def _begin(self, message: Message, page: Page) -> None:
        try:
            parsed = parse_envelope(message.payload)
        except Poison as poison:
            await InFlightEnvelope((0, 0), 0, "", [(message, page)]).park(str(poison))
            return
        work = InFlightEnvelope(
            (int(parsed.email_id), parsed.attempt), parsed.turn, parsed.body_object, [(message, page)]
        )
        arrival = self._ledger.arrive(work)
        if arrival is Arrival.RECORDED:
            if event := self._ledger.lost_outcome(work):
                self._outcomes.add(work, event)
            else:
                await work.ack()
                if work.body_object:  # a crash or an outage may have kept it from being deleted with its outcome
                    await self._outcomes.delete_body(work.body_object)
        elif arrival is Arrival.NEW:
            assert self._group is not None, "pages come while run is running"  # noqa: S101  # for the type checker
            self._group.create_task(self._carry(work, parsed))

    async def _carry(self, work: InFlightEnvelope, parsed: EmailToSend) -> None:
        """One envelope to its verdict, or back onto the bus."""
        try:
            if not parsed.body_object:
                await self._deliver(work, to_envelope(parsed, parsed.body))
            elif self._large.available_tokens >= 1:
                async with self._large:
                    body = await self._bus.fetch_body(parsed.body_object)
                    await self._deliver(work, to_envelope(parsed, body))
            else:
                await self._put_back(work, BODY_RETRY_SECONDS)
        except Unavailable as error:
            log.warning("a body cannot be fetched", body=parsed.body_object, why=str(error))
            await self._put_back(work, BODY_RETRY_SECONDS)
        except (Poison, OverflowError) as error:  # OverflowError: a due_at beyond the calendar
            self._ledger.leave(work)
            await work.park(str(error))
        except Exception:
            # A bug, met by one envelope: its neighbours are in the middle of their mails and go on.
            log.exception("an envelope could not be handled", delivery=work.key[0], attempt=work.key[1])
            await self._give_up_on(work)
        except BaseException:
            self._ledger.leave(work)  # cancelled: the next run meets it as new
            raise

    async def _deliver(self, work: InFlightEnvelope, envelope: Envelope) -> None:
        if not await self._outcomes.may_send():
            await self._put_back(work, 0.0)
            return
        started = anyio.current_time()
        verdict = await self._deliverer.deliver(envelope)
        if isinstance(verdict, Throttled):
            if verdict.retry_in >= POSTPONE_SECONDS and not work.body_object:
                self._postponed.add(work, _postponement(envelope, verdict))
            else:
                await self._put_back(work, verdict.retry_in)
            return
        now = self._clock()
        self._meter.tried(anyio.current_time() - started)
        event = event_of(envelope, verdict, now)
        if isinstance(verdict, Delivered):
            self._meter.delivered((now - envelope.due_at).total_seconds())
        else:
            log.info(
                "refused" if event.permanent else "deferred",
                delivery=event.delivery_id,
                attempt=event.attempt,
                to=event.email,
                host=event.host,
                stage=event.stage,
                reply=" ".join(filter(None, (str(event.code or ""), event.enhanced_status, event.text))),
            )
        self._outcomes.add(work, event)

    async def _put_back(self, work: InFlightEnvelope, delay_seconds: float) -> None:
        self._ledger.leave(work)
        await work.nak(delay_seconds)

    async def _give_up_on(self, work: InFlightEnvelope) -> None:
        message, _ = work.messages[0]
        if message.num_delivered < MAX_FAILURES:
            await self._put_back(work, BODY_RETRY_SECONDS)
        else:
            self._ledger.leave(work)
            await work.park("it failed again and again")


def _postponement(envelope: Envelope, busy: Throttled) -> ThrottledDelivery:
    return ThrottledDelivery(envelope.delivery_id, envelope.turn, busy.retry_in, busy.rate)
