"""Answers a sender's question: does the pool wait for an outcome of this redelivered envelope?

In: redelivered envelopes. Out: the closed ones: their delivery has ended, their attempt has an outcome, or the pool has
put a newer envelope in their place. Outcomes that are in the stream when the question arrives are settled first.
"""

from collections.abc import Sequence
from typing import Protocol

import anyio

from kannon.bus.backlog import Progress
from kannon.bus.streams import OUTCOMES, ConsumerSpec
from kannon.db.pool import Database
from kannon.db.queue import find_attempts
from kannon.errors import Unavailable
from kannon.mail.envelope import RedeliveredEnvelope

SETTLE_SECONDS = 8.0  # below the time that a sender waits for the reply
POLL_SECONDS = 0.05


class Bus(Protocol):
    async def progress(self, spec: ConsumerSpec) -> Progress: ...


class RedeliveredEnvelopes:
    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def find_closed(self, page: Sequence[RedeliveredEnvelope]) -> set[tuple[int, int]]:
        """Delivery ids and attempts. Raises Unavailable."""
        await self.outcomes_settled()
        rows = await find_attempts(self._db, [each.delivery_id for each in page])
        return {
            (each.delivery_id, each.attempt)
            for each in page
            if (row := rows.get(each.delivery_id)) is None
            or row.attempts >= each.attempt
            or row.requeues > each.requeues
        }

    async def outcomes_settled(self) -> None:
        """Returns when the outcomes published before this call are settled."""
        last_seq = (await self._bus.progress(OUTCOMES)).last_seq
        with anyio.move_on_after(SETTLE_SECONDS):
            while True:
                progress = await self._bus.progress(OUTCOMES)
                if progress.waiting == 0 or progress.settled_seq >= last_seq:
                    return
                await anyio.sleep(POLL_SECONDS)
        raise Unavailable(f"outcomes are not settled after {SETTLE_SECONDS:g} s")
