"""The retry budget: the time of the next attempt after a deferral, or giving up.

In: the number of attempts, the due time, the requested delay, a random number in [0, 1). Out: the time of the next
attempt, or None after the retry window.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """`window` starts at the due time; delays double from `first` up to `max_delay`."""

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
        if now >= deadline:
            return None
        doublings = min(attempts - 1, 30)  # longer than any window; avoids an overflow
        delay = min(self.max_delay, self.first * (1 << doublings)) * (0.8 + 0.4 * chance)
        delay = max(delay, timedelta(seconds=retry_after))
        # One last attempt takes place at the end of the window.
        return min(now + delay, deadline)
