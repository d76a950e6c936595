"""ThrottledReturns: throttled envelopes return to the pool, so that the stream holds mail that can be sent now.

In: an envelope in flight and the time for which its destination is throttled. Out: one request asks a dispatcher to
take all that gathered. Envelopes that it took are acked; the others go back to the stream, and are offered again when
they return.
"""

from collections.abc import Sequence
from typing import Protocol

import structlog

from kannon.components.sender.inflight import InFlight, InFlightEnvelope
from kannon.components.sender.pages import Pages
from kannon.errors import Unavailable
from kannon.mail.envelope import ThrottledDelivery

log = structlog.get_logger()

PAGE = 5000  # about 100 kB
GATHER_SECONDS = 0.05
RETRY_SECONDS = 5.0  # in the stream, when no dispatcher took it


class Publisher(Protocol):
    async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None: ...


class ThrottledReturns:
    """`run` is the task that sends them; `add` is called by deliveries, whose envelopes stay in flight."""

    def __init__(self, bus: Publisher, in_flight: InFlight) -> None:
        self._bus = bus
        self._in_flight = in_flight
        self._pages = Pages[tuple[InFlightEnvelope, ThrottledDelivery]](PAGE, gather_seconds=GATHER_SECONDS)

    def add(self, work: InFlightEnvelope, delivery: ThrottledDelivery) -> None:
        self._pages.add((work, delivery))

    async def run(self) -> None:
        """Until cancelled. The next run offers again what this one had gathered."""
        while True:
            page = await self._pages.next()
            taken = await self._offer([delivery for _, delivery in page])
            self._pages.remove(page)
            for work, delivery in page:
                self._in_flight.remove(work)
                if taken:
                    await work.ack()
                else:  # after a lost reply the pool may have it all the same
                    await work.nak(min(delivery.seconds, RETRY_SECONDS))

    async def _offer(self, page: Sequence[ThrottledDelivery]) -> bool:
        # First the rows return to the pool, second the envelopes are acked. Until then the stream has them, so neither
        # a crash nor a missing dispatcher makes a row wait for its lease. After a crash in between, or a lost answer,
        # NATS redelivers the old envelope, and its sender learns from a dispatcher that the pool has replaced it.
        try:
            await self._bus.publish_throttled(page)
        except Unavailable as error:
            log.warning("no dispatcher took throttled envelopes; retrying", count=len(page), why=str(error))
            return False
        return True
