"""Warm-up: how many mails a day a new source address may carry to each provider. No I/O; the owner passes the time in.

In: the plan of an address, and a time. Out: the limit of that day (UTC), and the part of it that is free by that hour.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

DOUBLING: Final = tuple(50 * 2**day for day in range(15))
"""50, 100, 200, … 819,200: more than any sender needs to one provider; then the address is like any other."""
_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class WarmUp:
    """`since`: the first day (UTC). `limits`: mails a day to one provider, day by day."""

    address: str
    since: date
    limits: tuple[int, ...] = DOUBLING

    def limit(self, at: datetime) -> int | None:
        """Of the day of `at`. 0 before the first day; None: the plan is over."""
        day = (at.astimezone(UTC).date() - self.since).days
        if day < 0:
            return 0
        return self.limits[day] if day < len(self.limits) else None

    def allowed(self, at: datetime, *, spread: bool) -> int | None:
        """Mails of this day until now. With `spread` the limit grows hour by hour, so that the first minute after
        midnight does not use all of it. None: no limit any more."""
        limit = self.limit(at)
        if limit is None or not spread:
            return limit
        return -(-limit * (at.astimezone(UTC).hour + 1) // _HOURS)


def seconds_to_next_day(at: datetime) -> float:
    now = at.astimezone(UTC)
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    return (midnight - now).total_seconds()
