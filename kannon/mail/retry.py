"""The retry budget: the time of the next attempt after a deferral, or giving up.

In: the number of attempts, the due time, the requested delay, a random number in [0, 1). Out: the time of the next
attempt, or None after the retry window and the attempts that fit into it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

JITTER = 0.2
MOST_ATTEMPTS = 100  # beyond the window: a delay of a minute would give a thousand in a day


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """`window` starts at the due time; delays double from `first` up to `max_delay`. A delivery has at least the
    attempts that fit into the window, so a clock that jumps ahead, or an outage, ends none early."""

    window: timedelta
    first: timedelta
    max_delay: timedelta

    def next_attempt(
        self, *, attempts: int, due_at: datetime, now: datetime, chance: float, retry_after: int = 0
    ) -> datetime | None:
        """The time of the next attempt after `attempts` attempts, or None after the window.

        The delay starts now, so that a backlog or an outage uses up no attempts; `chance` gives ±20 % jitter. A delay
        that the remote server requests is respected within the window.
        """
        deadline = due_at + self.window
        delay = self._delay(attempts) * (1 - JITTER + 2 * JITTER * chance)
        if now >= deadline:
            return None if attempts >= self._fewest_attempts() else now + delay
        delay = max(delay, timedelta(seconds=retry_after))
        # One last attempt takes place at the end of the window.
        return min(now + delay, deadline)

    @property
    def longest_first(self) -> timedelta:
        """The first delay with the longest jitter."""
        return self.first * (1 + JITTER)

    @property
    def longest(self) -> timedelta:
        """Of all delays, unless the remote server requests a longer one."""
        return self.max_delay * (1 + JITTER)

    def _delay(self, attempts: int) -> timedelta:
        """After so many attempts, without jitter."""
        doublings = min(attempts - 1, 30)  # longer than any window; avoids an overflow
        return min(self.max_delay, self.first * (1 << doublings))

    def _fewest_attempts(self) -> int:
        """How many fit into the window when each delay is as long as jitter makes it."""
        attempts, passed = 1, self._delay(1) * (1 + JITTER)
        while passed < self.window and attempts < MOST_ATTEMPTS:
            attempts += 1
            passed += self._delay(attempts) * (1 + JITTER)
        return attempts
