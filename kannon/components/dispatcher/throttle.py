"""Throttled destinations: their mail waits in the pool and is not built while no sender has room for it.

In: throttled deliveries, each with its retry time and the rate at which its destination accepts mail. Out: their rows
back in the queue, and the tenant's other due mail for the destination behind them, in order and at that rate. So a slow
destination's hundred thousand mails delay neither another destination nor another tenant.

The sender's `Throttled` carries the only retry time. The mail behind follows at the destination's rate, as far as
AHEAD_SECONDS; the rest becomes due then and is looked at again with the rate of that time.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

import anyio
import structlog

from kannon.db.pool import Database
from kannon.db.queue import Place, ThrottledDestination, delay_throttled, return_throttled
from kannon.errors import KannonError
from kannon.mail.envelope import ThrottledDelivery

log = structlog.get_logger()

WINDOW = 10_000  # due rows looked at in one statement
DESTINATIONS_AT_ONCE = 100
QUIET_SECONDS = 1.0  # between two looks at the same destination
AHEAD_SECONDS = 60.0  # the rate may change; a shorter time costs more updates of a long queue
UNKNOWN_RATE = 200.0  # mails a second of a destination that is down
RATE_MARGIN = 1.2  # somewhat faster than the destination accepts, so that it never runs out of mail
MAX_REMEMBERED = 10_000


async def _nothing() -> None: ...


class ThrottledDestinations:
    """`on_throttled` is called from several tasks at once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._looked_at: dict[Place, float] = {}
        self._lock = anyio.Lock()

    async def on_throttled(
        self, page: list[ThrottledDelivery], taken: Callable[[], Awaitable[None]] = _nothing
    ) -> None:
        """May be repeated for the same page. Calls `taken` when the rows are committed; raises Unavailable before that.
        The rest only saves work: after a crash there, mail is built once more and throttled in its turn."""
        places = await return_throttled(self._db, page)
        await taken()
        try:
            async with self._lock:
                await self._delay(self._destinations(places, page))
        except KannonError as error:
            log.warning("cannot delay the mail behind throttled deliveries", why=str(error))

    def _destinations(self, places: dict[int, Place], page: Sequence[ThrottledDelivery]) -> list[ThrottledDestination]:
        """Of this page, without those looked at within QUIET_SECONDS."""
        now = anyio.current_time()
        known = sorted(
            (places[each.delivery_id], each.seconds, each.rate, each.reason)
            for each in page
            if each.delivery_id in places
        )
        found = []
        for place, group in groupby(known, key=lambda each: each[0]):
            _, seconds, rate, reason = max(group, key=lambda each: each[1])
            if now - self._looked_at.get(place, float("-inf")) < QUIET_SECONDS:
                continue
            self._looked_at[place] = now
            planned = (rate or UNKNOWN_RATE) * RATE_MARGIN
            found.append(ThrottledDestination(place, seconds, planned, AHEAD_SECONDS, reason))
        if len(self._looked_at) > MAX_REMEMBERED:
            self._looked_at = {place: at for place, at in self._looked_at.items() if now - at < QUIET_SECONDS}
        return found

    async def _delay(self, destinations: Sequence[ThrottledDestination]) -> None:
        for first in range(0, len(destinations), DESTINATIONS_AT_ONCE):
            some = destinations[first : first + DESTINATIONS_AT_ONCE]
            done, count = 0, WINDOW
            while count >= WINDOW // 2:
                count = await delay_throttled(self._db, some, behind=done, window=WINDOW)
                done += count
            if done:
                log.debug("mail for throttled destinations waits in the pool", deliveries=done, places=len(some))
