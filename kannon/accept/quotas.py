"""Counts mails against the quotas of their key and domain, over all processes.

In: quotas and a number of mails. Out: nothing, or QuotaExceeded with the time to wait. A process takes mails from
PostgreSQL a little in advance (a lease), so most sends do not ask; concurrent sends that ask share one transaction.
The rest of a lease goes back after LEASE_SECONDS. No day is ever exceeded, and no rate by more than one send: the lease
of a killed process is lost, never granted twice.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio
import structlog

from kannon.accept.coalescer import Coalescer
from kannon.db.pool import Database
from kannon.db.quotas import change_usage
from kannon.errors import QuotaExceeded, Unavailable
from kannon.mail import quota as rule
from kannon.mail.quota import Quota, Usage

LEASE_SECONDS = 1.0
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Lease:
    quota: Quota
    left: int
    until: float


@dataclass(frozen=True, slots=True)
class _Asked:
    quota: Quota
    count: int


@dataclass(frozen=True, slots=True)
class _Refused:
    """Holds for sends of `count` mails and more. `seconds` after `at`, None: never granted."""

    quota: Quota
    count: int
    at: float
    seconds: float | None

    @property
    def until(self) -> float:
        """Then PostgreSQL is asked again: another process may have given mails back."""
        return self.at + (LEASE_SECONDS if self.seconds is None else min(self.seconds, LEASE_SECONDS))

    def error(self, now: float) -> QuotaExceeded:
        name = _name(self.quota)
        if self.seconds is None:
            return QuotaExceeded(f"{self.count} mails are more than the {self.quota.per_day} a day of {name}")
        left = max(0.0, self.at + self.seconds - now)
        return QuotaExceeded(f"the quota of {name} is used up: {_limits(self.quota)}", left)


class Quotas:
    """`run` is under way while `take` is called."""

    def __init__(self, db: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._refused: dict[str, _Refused] = {}
        self._asking = Coalescer(self._ask, workers=1)

    async def run(self) -> None:
        """Until cancelled; then what is left of the leases goes back."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._asking.run)
                while True:
                    await anyio.sleep(LEASE_SECONDS)
                    await self.return_leases(self._clock())
        finally:
            with anyio.move_on_after(LEASE_SECONDS, shield=True):
                await self.return_leases(float("inf"))

    async def take(self, quotas: Sequence[Quota], count: int) -> None:
        """Counts `count` mails against all of them, or against none. Raises QuotaExceeded, Unavailable."""
        for position, quota in enumerate(quotas):
            try:
                await self._take(quota, count)
            except BaseException:
                self.refund(quotas[:position], count)
                raise

    def refund(self, quotas: Sequence[Quota], count: int) -> None:
        """Mails that were counted and not sent."""
        for quota in quotas:
            self._lease(quota).left += count
            self._refused.pop(quota.subject, None)

    async def return_leases(self, now: float) -> None:
        """Those that have ended by `now`."""
        self._refused = {s: refused for s, refused in self._refused.items() if now < refused.until}
        ended = {s: lease for s, lease in self._leases.items() if lease.until <= now}
        for subject in ended:
            del self._leases[subject]
        left = {s: lease for s, lease in ended.items() if lease.left}
        if not left:
            return

        def change(quota: Quota, usage: Usage, at: datetime) -> tuple[None, Usage]:
            return None, rule.refund(quota, usage, at, left[quota.subject].left)

        try:
            await change_usage(self._db, {s: lease.quota for s, lease in left.items()}, change)
        except Unavailable as error:
            log.warning("cannot return mails to their quotas", subjects=sorted(left), reason=str(error))

    async def _take(self, quota: Quota, count: int) -> None:
        now = self._clock()
        if self._take_leased(quota, count, now):
            return
        if quota.per_day and count > quota.per_day:  # what holds for a smaller send is not the answer to this one
            raise _Refused(quota, count, now, None).error(now)
        refused = self._refused.get(quota.subject)
        if refused is None or refused.quota != quota or now >= refused.until or count < refused.count:
            refused = await self._asking.call(_Asked(quota, count))
        if refused is not None:
            raise refused.error(self._clock())

    def _take_leased(self, quota: Quota, count: int, now: float) -> bool:
        lease = self._leases.get(quota.subject)
        if lease is None or lease.quota != quota or lease.left < count or now >= lease.until:
            return False
        lease.left -= count
        return True

    def _lease(self, quota: Quota) -> _Lease:
        lease = self._leases.get(quota.subject)
        if lease is None:
            lease = self._leases[quota.subject] = _Lease(quota, 0, self._clock() + LEASE_SECONDS)
        lease.quota = quota
        return lease

    async def _ask(self, group: Sequence[_Asked]) -> list[_Refused | None]:
        """One transaction for all. A send is granted whole or refused."""
        wanted: dict[str, list[_Asked]] = {}
        for asked in group:
            wanted.setdefault(asked.quota.subject, []).append(asked)

        def change(quota: Quota, usage: Usage, at: datetime) -> tuple[tuple[int, Usage, datetime], Usage]:
            counts = [asked.count for asked in wanted[quota.subject]]
            held = self._lease(quota).left
            first, whole = (max(0, count - held) for count in (counts[0], sum(counts)))
            granted, after = rule.take(quota, usage, at, first=first, wanted=whole)
            return (granted, after, at), after

        answers = await change_usage(self._db, {s: several[-1].quota for s, several in wanted.items()}, change)
        now = self._clock()
        for subject, (granted, _, _) in answers.items():
            lease = self._lease(wanted[subject][-1].quota)
            lease.left += granted
            lease.until = now + LEASE_SECONDS
        return [self._settle(asked, *answers[asked.quota.subject][1:], now) for asked in group]

    def _settle(self, asked: _Asked, usage: Usage, at: datetime, now: float) -> _Refused | None:
        lease = self._lease(asked.quota)
        if lease.left >= asked.count:
            lease.left -= asked.count
            return None
        seconds = rule.retry_after(asked.quota, usage, at, asked.count)
        refused = self._refused[asked.quota.subject] = _Refused(asked.quota, asked.count, now, seconds)
        return refused


def _name(quota: Quota) -> str:
    return f'domain "{quota.subject}"' if "." in quota.subject else f"API key {quota.subject}"


def _limits(quota: Quota) -> str:
    limits = [f"{quota.per_second} mails a second"] if quota.per_second else []
    return " and ".join([*limits, *([f"{quota.per_day} a day (UTC)"] if quota.per_day else [])])
