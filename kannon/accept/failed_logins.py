"""Slows down failed logins, by peer. Every way in counts its own.

In: a peer's address at each failure. Out: the seconds by which its answer is delayed.
"""

import time
from collections.abc import Callable

from cachetools import LRUCache


class FailedLogins:
    """A leaky bucket per peer: `burst` failures at once, then `per_second`; the answers to further ones are delayed."""

    def __init__(
        self,
        *,
        burst: int = 50,
        per_second: float = 10.0,
        longest_wait: float = 2.0,
        peers: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._longest_wait = longest_wait
        self._clock = clock
        self._full_at: LRUCache[str, float] = LRUCache(peers)

    def charge(self, peer: str) -> float:
        """Counts one failure; returns the seconds by which its answer is delayed."""
        now = self._clock()
        full_at = self._full_at[peer] = max(self._full_at.get(peer, now), now) + 1 / self._per_second
        return min(max(0.0, full_at - now - self._burst / self._per_second), self._longest_wait)
