"""A destination that is down: since when, why, and when it is probed next. No I/O, no clock.

In: failures and successes, the time, a random number in [0, 1). Out: whether a probe is due, how long others wait.
After SUSPEND_SECONDS its mail is not told to wait any more but deferred with the last failure, so that it stands in
the pool with a reason and a time.
"""

from dataclasses import replace

from kannon.outbound.trouble import Failure

DOWN_AFTER = 3  # lost connections or 421s without a mail taken in between
PROBE_SECONDS = 1.0  # doubled at each failed probe
MAX_PROBE_SECONDS = 60.0
SUSPEND_SECONDS = 120.0


class CircuitBreaker:
    """`scale` is sender.timeout_scale."""

    __slots__ = ("_failure", "_failures", "_next_probe", "_probe_seconds", "_scale", "_since")

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._failures = 0
        self._since: float | None = None
        self._failure: Failure | None = None
        self._next_probe = 0.0
        self._probe_seconds = PROBE_SECONDS

    @property
    def down(self) -> bool:
        return self._since is not None

    def over(self) -> None:
        """It answered, for or against the mail."""
        self._failures = 0
        self._since = self._failure = None
        self._probe_seconds = PROBE_SECONDS

    def lost_one(self) -> bool:
        """A connection was lost or ended with 421; whether it counts as down now."""
        self._failures += 1
        return self.down or self._failures >= DOWN_AFTER

    def begin(self, failure: Failure, now: float, chance: float) -> None:
        """Down, or still down after a probe."""
        if self._since is None:
            self._since = now
        self._failure = failure
        self._next_probe = now + self._probe_seconds * self._scale * (0.8 + 0.4 * chance)
        self._probe_seconds = min(2 * self._probe_seconds, MAX_PROBE_SECONDS)

    def seconds_to_probe(self, now: float) -> float:
        return max(0.0, self._next_probe - now)

    def suspended(self, now: float) -> Failure | None:
        """Down for so long that its mail is deferred: with this."""
        if self._since is None or self._failure is None or now - self._since <= SUSPEND_SECONDS * self._scale:
            return None
        return replace(self._failure, reason=f"destination is down: {self._failure.reason}".rstrip(": "))
