"""Crowded destinations: when a sender has no room for one, its other mail waits in the pool and is not built in vain.

In: postponements, which say how long an envelope's destination has no room and how fast it takes mail. Out: those rows
back in the queue, and the tenant's other due mail for that destination behind them, at the pace of the destination. So
a slow destination's hundred thousand mails stand in nobody's way, neither another destination's nor another tenant's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import anyio
import structlog

from kannon.db.pool import Database
from kannon.db.queue import Place, ThrottledDestination, delay_throttled, return_throttled
from kannon.errors import KannonError
from kannon.mail.envelope import ThrottledDelivery

log = structlog.get_logger()

WINDOW = 10_000  # due rows looked at in one statement
CROWDS_AT_ONCE = 100
QUIET_SECONDS = 1.0  # between two looks at the same crowd
FIRST_SECONDS = 10.0  # how far ahead a crowd is spread at first: its pace has only just been measured
LONGEST_SECONDS = 300.0  # doubled each time it comes back too soon, up to here
HOPED_RATE = 200.0  # mails a second of a destination that has no pace, since it is down
AHEAD = 1.2  # somewhat faster than it takes them, so that it never runs dry
MAX_REMEMBERED = 10_000


@dataclass(slots=True)
class _Seen:
    at: float
    spread: float
    until: float  # from then on whoever comes back has been spread over `spread` and found it crowded again


async def _nothing() -> None: ...


class ThrottledDestinations:
    """`postpone` is called from several tasks at once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: dict[Place, _Seen] = {}
        self._one_at_a_time = anyio.Lock()

    async def postpone(self, page: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]] = _nothing) -> None:
        """May be repeated for the same page. Calls `taken` when the rows are committed; raises Unavailable before that.
        What follows only saves work: a crash there costs mail that is built in order to be postponed in its turn."""
        places = await return_throttled(self._db, page)
        await taken()
        try:
            async with self._one_at_a_time:
                await self._delay(self._crowds(places, page))
        except KannonError as error:
            log.warning("mail behind postponed deliveries not delayed", why=str(error))

    def _crowds(self, places: dict[int, Place], page: Sequence[ThrottledDelivery]) -> list[ThrottledDestination]:
        """Those of this page that have not been looked at this moment."""
        now = anyio.current_time()
        known = sorted(
            (places[each.delivery_id], each.seconds, each.rate) for each in page if each.delivery_id in places
        )
        crowds = []
        for place, group in groupby(known, key=lambda each: each[0]):
            _, seconds, rate = max(group, key=lambda each: each[1])
            seen = self._seen.get(place)
            if seen is not None and now - seen.at < QUIET_SECONDS:
                continue
            self._seen[place] = seen = _again(seen, now, seconds)
            crowds.append(ThrottledDestination(place, seconds, (rate or HOPED_RATE) * AHEAD, seen.spread))
        if len(self._seen) > MAX_REMEMBERED:
            self._seen = {place: seen for place, seen in self._seen.items() if now < seen.until}
        return crowds

    async def _delay(self, crowds: Sequence[ThrottledDestination]) -> None:
        for first in range(0, len(crowds), CROWDS_AT_ONCE):
            some = crowds[first : first + CROWDS_AT_ONCE]
            done, count = 0, WINDOW
            while count >= WINDOW // 2:
                count = await delay_throttled(self._db, some, behind=done, window=WINDOW)
                done += count
            if done:
                log.debug("a crowd waits in the pool", deliveries=done, places=[crowd.place for crowd in some])


def _again(seen: _Seen | None, now: float, seconds: float) -> _Seen:
    if seen is None or now >= seen.until + seen.spread:
        return _Seen(now, FIRST_SECONDS, now + seconds + FIRST_SECONDS)
    if now < seen.until:
        return _Seen(now, seen.spread, seen.until)
    spread = min(2 * seen.spread, LONGEST_SECONDS)
    return _Seen(now, spread, now + seconds + spread)
