"""ThrottledReturns: envelopes whose destination has no room for a while go back to the pool, not around in the stream.

In: a piece of work and how long its destination wants to be left alone. Out: the envelopes are acked, and one message
tells a dispatcher of all that gathered. So the stream holds what can be sent now, and one slow destination's mail does
not fill it for all others. A page that is lost on the way costs the lease of its rows.
"""

from collections.abc import Sequence
from typing import Protocol

import anyio
import structlog

from kannon.components.sender.inflight import InFlightEnvelope
from kannon.errors import Unavailable
from kannon.mail.envelope import ThrottledDelivery

log = structlog.get_logger()

PAGE = 5000  # about 100 kB
GATHER_SECONDS = 0.05


class Publisher(Protocol):
    async def publish_throttled(self, page: Sequence[ThrottledDelivery]) -> None: ...


class ThrottledReturns:
    """`run` is the task that sends them; `add` is called by deliveries."""

    def __init__(self, bus: Publisher) -> None:
        self._bus = bus
        self._gathered: list[tuple[InFlightEnvelope, ThrottledDelivery]] = []
        self._some = anyio.Event()

    def add(self, work: InFlightEnvelope, postponement: ThrottledDelivery) -> None:
        self._gathered.append((work, postponement))
        self._some.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            if not self._gathered:
                self._some = anyio.Event()
                await self._some.wait()
                await anyio.sleep(GATHER_SECONDS)
            page, self._gathered = self._gathered[:PAGE], self._gathered[PAGE:]
            # Acked first, told second: a crash in between costs the lease of these rows. The other way round the old
            # envelope could come again beside the new one, which costs a second copy.
            for work, _ in page:
                await work.ack()
            try:
                await self._bus.publish_throttled([postponement for _, postponement in page])
            except Unavailable as error:
                log.warning("postponed envelopes wait for their leases", count=len(page), why=str(error))
