"""Warm-up of source addresses: which addresses a mail may leave from, so that a new one carries its plan and no more.

In: a provider (the registrable domain of the first MX host). Out: a `Choice` of source addresses, or `Throttled` where
every address has carried its plan. The count of each address, provider and day is shared by all senders: each takes a
block of mails in advance, so that most mails cost no look-up, and a restart forgets nothing. A sender that is killed
loses what is left of its block; the plan is never exceeded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from ipaddress import ip_address
from typing import Final, Protocol

import anyio
import structlog

from kannon.config import Sender
from kannon.errors import Unavailable
from kannon.mail.warmup import DOUBLING, WarmUp, seconds_to_next_day
from kannon.outbound.throttled import Throttled

log = structlog.get_logger()

BLOCK_SHARE: Final = 20  # a sender takes a twentieth of the limit at a time
MAX_BLOCK: Final = 100
LOOK_AGAIN_SECONDS: Final = 60.0  # at a count that was used up: another sender may have given some back
MAX_WAIT_SECONDS: Final = 3600.0  # then the mail is offered again: the configuration may have changed
STORE_SECONDS: Final = 2.0
MAX_KNOWN: Final = 50_000  # providers; a warm-up is about the large ones
CLOSE_SECONDS: Final = 2.0


class Counter(Protocol):
    """Shared by all senders. Both methods may raise Unavailable."""

    async def take_warm_up(self, key: str, count: int, limit: int) -> tuple[int, int]:
        """Adds up to `count` as long as the sum stays within `limit`. Returns what was added, and the sum."""

    async def return_warm_up(self, key: str, count: int) -> None: ...


class MemoryCounter:
    """Of one process, for a sender without a bus."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}

    async def take_warm_up(self, key: str, count: int, limit: int) -> tuple[int, int]:
        used = self.sums.get(key, 0)
        taken = max(0, min(count, limit - used))
        self.sums[key] = used + taken
        return taken, used + taken

    async def return_warm_up(self, key: str, count: int) -> None:
        self.sums[key] -= count


@dataclass(slots=True)
class _Count:
    """Of one address, provider and day: `left` of the block of this sender, and the sum of all senders when it was last
    known. `full_at`: the allowance that was found used up, and when."""

    key: str
    left: int = 0
    sum: int = 0
    full_at: tuple[int, datetime] | None = None
    lock: anyio.Lock = field(default_factory=anyio.Lock)


@dataclass(frozen=True, slots=True)
class Choice:
    """`sources`: the addresses to choose from. `count`: where it takes part in a warm-up."""

    sources: tuple[str, ...]
    count: _Count | None = None


class WarmUps:
    """`of(sender, …)` is None where nothing warms up. `noted`: told of each mail `new`, `older` or `waits`."""

    def __init__(
        self,
        plans: Sequence[WarmUp],
        sources: Sequence[str],
        counter: Counter,
        clock: Callable[[], datetime],
        noted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._plans = plans
        self._sources = sources
        self._counter = counter
        self._clock = clock
        self._noted = noted
        self._day: date | None = None
        self._counts: dict[tuple[str, str], _Count] = {}

    @classmethod
    def of(
        cls, sender: Sender, counter: Counter, clock: Callable[[], datetime], noted: Callable[[str], None]
    ) -> "WarmUps | None":
        plans = [
            WarmUp(_plain(each.address), each.since, DOUBLING if each.plan == "doubling" else tuple(each.plan))
            for each in sender.warmup
        ]
        return cls(plans, [_plain(each) for each in sender.source_ips], counter, clock, noted) if plans else None

    async def choose(self, provider: str) -> Choice | Throttled:
        """For one mail. `on_not_sent` follows where it did not reach the provider."""
        now = self._clock()
        new = {plan.address: plan for plan in self._plans if plan.limit(now) is not None}
        older = tuple(each for each in self._sources if each not in new)
        unavailable = False
        for address, plan in new.items():
            try:
                count = await self._take(plan, provider, now, spread=bool(older))
            except Unavailable as error:
                log.warning("cannot count the mails of a warm-up", address=address, why=str(error))
                unavailable = True
                continue
            if count is not None:
                self._noted("new")
                return Choice((address,), count)
        if older:
            self._noted("older")
            return Choice(older)
        self._noted("waits")
        if unavailable:
            return Throttled(STORE_SECONDS, reason="warm-up: its counts cannot be read")
        limits = ", ".join(f"{address} {plan.limit(now)}" for address, plan in new.items())
        return Throttled(
            min(MAX_WAIT_SECONDS, seconds_to_next_day(now) + 1),
            reason=f"warm-up: the mails of today to {provider} are sent ({limits})",
        )

    def on_not_sent(self, choice: Choice) -> None:
        """The mail was not sent: its place goes to another."""
        if choice.count is not None:
            choice.count.left += 1

    def describe(self, sources: Sequence[str], provider: str) -> str:
        """The state of a warm-up, for operators; empty: none. As far as this sender knows the count."""
        now = self._clock()
        for plan in self._plans:
            limit = plan.limit(now)
            if limit is not None and tuple(sources) == (plan.address,):
                count = self._counts.get((plan.address, provider))
                sent = count.sum - count.left if count is not None and self._day == now.date() else 0
                return f"{sent} of {limit} today"
        return ""

    async def close(self) -> None:
        """Returns what is left of the blocks, within a time limit."""
        counts, self._counts = list(self._counts.values()), {}
        with anyio.move_on_after(CLOSE_SECONDS):
            for count in counts:
                left, count.left = count.left, 0
                if left:
                    try:
                        await self._counter.return_warm_up(count.key, left)
                    except Unavailable as error:
                        log.debug("cannot return a part of a warm-up", key=count.key, why=str(error))
                        return

    async def _take(self, plan: WarmUp, provider: str, now: datetime, *, spread: bool) -> _Count | None:
        """None: the address has carried what it may carry by now."""
        allowed = plan.allowed(now, spread=spread)
        if not allowed:
            return None
        count = self._count(plan, provider, now)
        if not count.left and not _is_full(count, allowed, now):
            async with count.lock:
                if not count.left and not _is_full(count, allowed, now):
                    block = min(MAX_BLOCK, max(1, (plan.limit(now) or 0) // BLOCK_SHARE))
                    count.left, count.sum = await self._counter.take_warm_up(count.key, block, allowed)
                    count.full_at = None if count.left else (allowed, now)
        if not count.left:
            return None
        count.left -= 1
        return count

    def _count(self, plan: WarmUp, provider: str, now: datetime) -> _Count:
        if self._day != now.date() or len(self._counts) >= MAX_KNOWN:
            self._day = now.date()
            self._counts.clear()
        key = plan.address, provider
        if key not in self._counts:
            self._counts[key] = _Count(count_key(now.date(), plan.address, provider))
        return self._counts[key]


def count_key(day: date, address: str, provider: str) -> str:
    """A token of a bus subject for each part: an address has dots or colons."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in f"{address} {provider}")
    return f"{day:%Y%m%d}.{plain}"


def _is_full(count: _Count, allowed: int, now: datetime) -> bool:
    """The same allowance was used up a moment ago."""
    if count.full_at is None:
        return False
    was_allowed, at = count.full_at
    return was_allowed == allowed and 0 <= (now - at).total_seconds() < LOOK_AGAIN_SECONDS


def _plain(address: str) -> str:
    """One spelling of an address."""
    return str(ip_address(address))
