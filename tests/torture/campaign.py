"""The campaign: one fault after another against the same servers and the same ledger.

In: a layout, a seed, what to choose from. Out: a result for each fault. Before each fault a wave of mail is sent, and
the fault strikes once a random part of it has arrived. The next one begins when every mail for a good destination is
settled; hostile destinations go on beside it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random

import asyncpg

from tests.torture.bounds import BOUNDS, Bound
from tests.torture.faults import Fault
from tests.torture.layouts import Layout
from tests.torture.ledger import Ledger, Span, explained
from tests.torture.mail import Mailings
from tests.torture.sink import HOSTILE

POLL_SECONDS = 0.05
GIVE_UP_SECONDS = 120.0
"""Mail that has not moved for so long is reported as lost."""
EVENTS_SECONDS = 5.0
"""In which an event is stored in PostgreSQL on a busy machine."""
UNSETTLED = f"SELECT count(*) FROM sending_pool_emails WHERE email NOT LIKE '%@{HOSTILE}'"


@dataclass(frozen=True, slots=True)
class Result:
    """Of one fault. `last`: seconds from its end until every mail was settled."""

    layout: str
    fault: str
    tried: int
    lost: int
    twice: int
    wrong: int
    still: float
    last: float
    seconds: float
    problems: tuple[str, ...]


class Campaign:
    def __init__(self, layout: Layout, ledger: Ledger, mailings: Mailings, random: Random, *, slack: float) -> None:
        """`slack` multiplies the bounds, for a machine that does other work."""
        self._layout = layout
        self._ledger = ledger
        self._mailings = mailings
        self._random = random
        self._slack = slack
        self._spans: list[Span] = []
        self.events_lost: list[Span] = []
        """Events of mails that were accepted or delivered within them may be missing in the statistics."""

    async def run(self, faults: Callable[[], Fault | None]) -> AsyncIterator[Result]:
        """Until `faults` gives none."""
        while (fault := faults()) is not None:
            yield await self.strike(fault)

    async def strike(self, fault: Fault) -> Result:
        bound = BOUNDS[fault.name]
        if fault.name == "rest":
            await self._mailings.wake_rested()
        before = len(self._ledger.mails)
        arrived = len(self._ledger.arrivals)
        began = time.monotonic()
        self._mailings.begin_wave(fault.name)
        await self._until_arrived(arrived + self._random.choice((0, 1, 20, 60, 120)))
        struck = time.monotonic()
        await fault.run(self._layout, self._random)
        ended = time.monotonic()
        if bound.copies is not None:
            self._spans.append(Span(struck - bound.copies, ended))
        if bound.events_lost:
            self.events_lost.append(Span(struck - EVENTS_SECONDS, ended + EVENTS_SECONDS))
        settled = await self._until_settled()
        return self._judge(fault.name, bound, (began, struck, ended, settled), before)

    async def _until_arrived(self, count: int) -> None:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while len(self._ledger.arrivals) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.005)

    async def _until_settled(self) -> float:
        """When every mail for a good destination is accepted, delivered and settled; or when nothing moves."""
        progress, since = -1, time.monotonic()
        while True:
            done = len(self._ledger.arrivals)
            if done != progress:
                progress, since = done, time.monotonic()
            if self._mailings.idle and not self._ledger.undelivered() and await self._unsettled() == 0:
                return time.monotonic()
            if time.monotonic() - since > GIVE_UP_SECONDS:
                return time.monotonic()
            await asyncio.sleep(POLL_SECONDS)

    async def _unsettled(self) -> int:
        """Rows of the pool; -1 while PostgreSQL is away."""
        try:
            connection = await asyncpg.connect(self._layout.database_url, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return -1
        try:
            return int(await connection.fetchval(UNSETTLED, timeout=5))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return -1
        finally:
            connection.terminate()

    def _judge(self, name: str, bound: Bound, times: tuple[float, float, float, float], before: int) -> Result:
        began, struck, ended, settled = times
        lost = self._ledger.undelivered()
        copies = [(address, first) for address, first, _ in self._ledger.copies(began) if first.answered is not None]
        wrong = [address for address, first in copies if not explained(first, self._spans)]
        still = self._ledger.standstill(began, settled)
        last = settled - ended
        problems = []
        if lost:
            problems.append(f"{len(lost)} mails lost, as {lost[0]}")
        if wrong:
            problems.append(f"{len(wrong)} copies without an ambiguous dot, as {wrong[0]}")
        if still > ended - struck + self._slack * bound.still:
            problems.append(f"nothing moved for {still:.1f} s")
        if last > self._slack * bound.last:
            problems.append(f"the last mail was settled {last:.1f} s after the fault")
        return Result(
            self._layout.name, name, len(self._ledger.mails) - before, len(lost), len(copies), len(wrong),
            round(still, 2), round(last, 2), round(ended - struck, 2), tuple(problems),
        )  # fmt: skip
