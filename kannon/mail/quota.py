"""How many mails a key or a domain may send in a second and in a day (UTC), counted over all processes.

In: a quota, its usage as stored, the time. Out: how many mails are granted, and the usage after that;
kannon.accept.quotas stores it. The rate is a bucket that holds one second's mails and fills at the rate. A larger send
is granted when the bucket is full, and the bucket then owes the rest, so the average holds for sends of any size. The
day is strict.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

MAX_PER_SECOND = 1_000_000
MAX_PER_DAY = 10**12
_AHEAD_OF_SECOND = 10
_AHEAD_OF_DAY = 1000
_ROUNDING = 1e-3  # of a mail; times have microseconds


@dataclass(frozen=True, slots=True)
class Quota:
    """`subject` is the id of a key or a domain's name. A limit of 0 is none."""

    subject: str
    per_second: int
    per_day: int

    @property
    def ahead(self) -> int:
        """Mails that a process takes in advance, so that not each send asks: a tenth of a second's, a thousandth of a
        day's, whichever is less. Its shares are lost when the process is killed."""
        shares = [self.per_second // _AHEAD_OF_SECOND] if self.per_second else []
        if self.per_day:
            shares.append(self.per_day // _AHEAD_OF_DAY)
        return min(shares, default=0)


@dataclass(frozen=True, slots=True)
class Usage:
    """`used` counts the mails of `day`. `busy_until`: when the bucket is full again."""

    day: date
    used: int
    busy_until: datetime


def take(quota: Quota, usage: Usage, now: datetime, *, first: int, wanted: int) -> tuple[int, Usage]:
    """Mails granted, and the usage after it: enough for all of `wanted` and some in advance, or less; 0 where it is not
    enough for the first send."""
    usage = _today(usage, now)
    granted = wanted + quota.ahead
    if quota.per_day and quota.per_day - usage.used < wanted + 10 * quota.ahead:
        granted = wanted  # near the end nothing waits in a lease that another process could send
    if quota.per_second:
        owed = _owed(usage, now)
        available = int(quota.per_second * (1 - owed) + _ROUNDING)
        if available < first and not owed:
            available = first
        granted = min(granted, max(0, available))
    if quota.per_day:
        granted = min(granted, max(0, quota.per_day - usage.used))
    return (0, usage) if granted < first else (granted, _charge(quota, usage, now, granted))


def refund(quota: Quota, usage: Usage, now: datetime, count: int) -> Usage:
    """Mails that were taken and not sent."""
    usage = _today(usage, now)
    busy_until = max(usage.busy_until, now) - _time(quota, count)
    return replace(usage, used=max(0, usage.used - count), busy_until=busy_until)


def retry_after(quota: Quota, usage: Usage, now: datetime, count: int) -> float | None:
    """Seconds until a refused send of `count` mails may be granted; None: it is larger than a day's mails."""
    usage = _today(usage, now)
    if quota.per_day and count > quota.per_day:
        return None
    if quota.per_day and usage.used + count > quota.per_day:
        return (datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1) - now).total_seconds()
    spare = max(0.0, 1 - count / quota.per_second) if quota.per_second else 0.0
    return max(0.0, _owed(usage, now) - spare)


def _today(usage: Usage, now: datetime) -> Usage:
    return usage if usage.day == now.date() else replace(usage, day=now.date(), used=0)


def _owed(usage: Usage, now: datetime) -> float:
    """Seconds until the bucket is full."""
    return max(0.0, (usage.busy_until - now).total_seconds())


def _charge(quota: Quota, usage: Usage, now: datetime, count: int) -> Usage:
    return replace(usage, used=usage.used + count, busy_until=max(usage.busy_until, now) + _time(quota, count))


def _time(quota: Quota, count: int) -> timedelta:
    return timedelta(seconds=count / quota.per_second) if quota.per_second else timedelta()
