"""A circuit breaker for one destination. No I/O, no clock.

In: failures and successes, the time, a random number in [0, 1). Out: when the next probe is due, and the failure to
defer with. Closed: mail flows. Open: mail waits until the next probe is due. Probing: one connection tests the
destination, and closes the breaker or opens it for twice as long. After SUSPEND_SECONDS in the open state, mail is
deferred with the last failure instead of throttled, so that the pool shows a reason and a time.
"""

from dataclasses import replace

from kannon.outbound.trouble import Failure

FAILURES_TO_OPEN = 3  # lost connections or 421s without an accepted mail between them
PROBE_SECONDS = 1.0  # doubled at each failed probe
MAX_PROBE_SECONDS = 60.0
SUSPEND_SECONDS = 120.0


class CircuitBreaker:
    """`scale` is sender.timeout_scale."""

    __slots__ = ("_failure", "_failures", "_next_probe", "_opened_at", "_probe_seconds", "_scale")

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._failures = 0
        self._opened_at: float | None = None
        self._failure: Failure | None = None
        self._next_probe = 0.0
        self._probe_seconds = PROBE_SECONDS

    @property
    def is_open(self) -> bool:
        """Open or probing."""
        return self._opened_at is not None

    def close(self) -> None:
        """The destination answered, for or against the mail."""
        self._failures = 0
        self._opened_at = self._failure = None
        self._probe_seconds = PROBE_SECONDS

    def count_failure(self) -> bool:
        """A connection was lost or ended with 421. True when the breaker has to open, or to stay open."""
        self._failures += 1
        return self.is_open or self._failures >= FAILURES_TO_OPEN

    def open(self, failure: Failure, now: float, chance: float) -> None:
        """Opens, or stays open after a failed probe."""
        if self._opened_at is None:
            self._opened_at = now
        self._failure = failure
        self._next_probe = now + self._probe_seconds * self._scale * (0.8 + 0.4 * chance)
        self._probe_seconds = min(2 * self._probe_seconds, MAX_PROBE_SECONDS)

    def seconds_to_probe(self, now: float) -> float:
        return max(0.0, self._next_probe - now)

    def suspended(self, now: float) -> Failure | None:
        """The failure to defer with, when the breaker has been open for more than SUSPEND_SECONDS."""
        if self._opened_at is None or self._failure is None or now - self._opened_at <= SUSPEND_SECONDS * self._scale:
            return None
        return replace(self._failure, reason=f"destination is down: {self._failure.reason}".rstrip(": "))
