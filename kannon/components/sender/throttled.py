"""ThrottledReturns: envelopes whose destination has no room for a while go back to the pool, not around in the stream.

In: a piece of work and how long its destination wants to be left alone. Out: one request asks a dispatcher to take all
that gathered; envelopes it took are acked, the others are put back into the stream and ask again when they return.
The stream thereby holds what can be sent now, and one slow destination's mail does not fill it for all others.
"""

from collections.abc import Sequence
from typing import Protocol

import anyio
import structlog

from kannon.components.sender.inflight import InFlight, InFlightEnvelope
from kannon.errors import Unavailable
from kannon.mail.envelope import ThrottledDelivery

log = structlog.get_logger()

PAGE = 5000  # about 100 kB
GATHER_SECONDS = 0.05
RETRY_SECONDS = 5.0  # in the stream, where no dispatcher took it


class Publisher(Protocol):
    async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None: ...


class ThrottledReturns:
    """`run` is the task that sends them; `add` is called by deliveries, whose work stays in the ledger."""

    def __init__(self, bus: Publisher, ledger: InFlight) -> None:
        self._bus = bus
        self._ledger = ledger
        self._gathered: list[tuple[InFlightEnvelope, ThrottledDelivery]] = []
        self._some = anyio.Event()

    def add(self, work: InFlightEnvelope, postponement: ThrottledDelivery) -> None:
        self._gathered.append((work, postponement))
        self._some.set()

    async def run(self) -> None:
        """For ever; the next run asks again for what this one had gathered when it was cancelled."""
        while True:
            if not self._gathered:
                self._some = anyio.Event()
                await self._some.wait()
                await anyio.sleep(GATHER_SECONDS)
            page = self._gathered[:PAGE]
            taken = await self._ask([postponement for _, postponement in page])
            del self._gathered[: len(page)]
            for work, postponement in page:
                self._ledger.leave(work)
                if taken:
                    await work.ack()
                else:
                    await work.nak(min(postponement.seconds, RETRY_SECONDS))

    async def _ask(self, page: Sequence[ThrottledDelivery]) -> bool:
        # First the rows are back in the pool, second the envelopes are acked: until then the stream has them, so no
        # crash and no absent dispatcher makes a row wait for its lease. A crash in between, or an answer that is lost,
        # brings the old envelope again. It asks again, and the dispatcher takes it without effect (another turn); or
        # it is sent, and its outcome settles the row. Only where another sender has been given the row's new envelope
        # by then does a second copy go out.
        try:
            await self._bus.publish_throttled(page)
        except Unavailable as error:
            log.warning("no dispatcher took postponed envelopes; retrying", count=len(page), why=str(error))
            return False
        return True
