"""The retry budget: when to try again, and when to give up. The one place that decides what a deferral costs.

In: how often it was tried, when it became due, what the remote asked for, a random number in [0, 1). Out: the next
time, or None when the budget is spent.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """`window` counts from the time the mail was due; delays double from `first` up to `max_delay`."""

    window: timedelta
    first: timedelta
    max_delay: timedelta

    def next_attempt(
        self, *, attempts: int, due_at: datetime, now: datetime, chance: float, retry_after: int = 0
    ) -> datetime | None:
        """When to try again after `attempts` tries, or None when out of budget.

        The delay is measured from now, so a backlog or an outage does not burn the tries; `chance` gives ±20 % jitter.
        A remote's "try again in N seconds" is honoured within the window.
        """
        deadline = due_at + self.window
        if now >= deadline:
            return None
        doublings = min(attempts - 1, 30)  # beyond any window; keeps the product finite
        delay = min(self.max_delay, self.first * (1 << doublings)) * (0.8 + 0.4 * chance)
        delay = max(delay, timedelta(seconds=retry_after))
        # At the end of the window one last attempt is made rather than none.
        return min(now + delay, deadline)
