"""PostgreSQL's clock, which dates claims and due times, and what its jumps do to the queue.

In: the database, a steady clock of this process. Out: the time, and by how much claims look older than they are. A
jump is logged. After a jump ahead, the leases of claims made before it must not end at once. After a jump back,
deliveries that the later clock has dated become due as if it had not been.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import anyio
import structlog

from kannon.clock import JumpMeter, steady
from kannon.db.pool import Database
from kannon.db.queue import bring_back, read_clock
from kannon.errors import KannonError
from kannon.mail.retry import RetryBudget

log = structlog.get_logger()

READ_SECONDS = 0.5
EXACT_SECONDS = 1.0  # a slower answer does not tell when PostgreSQL read its clock


class PoolClock:
    """Each dispatcher has one. All that they do to the queue may be repeated."""

    def __init__(
        self, db: Database, budget: RetryBudget, *, lease: timedelta, steady: Callable[[], float] = steady
    ) -> None:
        self._db = db
        self._budget = budget
        self._lease = lease
        self._steady = steady
        self._meter = JumpMeter()
        self._ahead: list[tuple[float, timedelta]] = []
        self._went_back = False
        self.jumps = 0
        self.back = timedelta(0)
        """By how much the clock has gone back in all."""

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.read()
            except KannonError as error:
                log.debug("cannot read PostgreSQL's clock", why=str(error))
            await anyio.sleep(READ_SECONDS)

    async def read(self) -> datetime:
        """Raises Unavailable."""
        began = self._steady()
        now = await read_clock(self._db)
        read = self._steady()
        seconds = self._meter.update(now.timestamp(), read) if read - began < EXACT_SECONDS else 0.0
        if seconds:
            log.warning("PostgreSQL's clock jumped", seconds=round(seconds, 1))
            self.jumps += 1
        if seconds > 0:
            self._ahead.append((read, timedelta(seconds=seconds)))
        if seconds < 0:
            self._ahead.clear()
            self.back -= timedelta(seconds=seconds)
            self._went_back = True
        if self._went_back:
            count = await bring_back(self._db, first=self._budget.longest_first, most=self._budget.longest)
            log.info("deliveries that a later clock has dated are due in time again", deliveries=count)
            self._went_back = False
        return now

    @property
    def ahead(self) -> timedelta:
        """By so much claims from before a jump look older than they are, until a lease has passed."""
        since = self._steady() - self._lease.total_seconds()
        self._ahead = [(at, jump) for at, jump in self._ahead if at > since]
        return sum((jump for _, jump in self._ahead), timedelta(0))
