"""How fast a destination accepts mail: measured while it does, assumed otherwise. No I/O, no clock.

In: the arrivals of mail for it, and each accepted mail with its duration. Out: mails a second for a number of
connections, and whether the destination is proven, moving or silent.
"""

from kannon.mail.moving_average import MovingAverage

PROVEN_SECONDS = 30.0
MOVING_SECONDS = 2.0
NEW_MAILS_PER_SECOND = 200.0  # assumed of a destination that was idle
SILENT_MAILS_PER_SECOND = 2.0  # assumed of one that accepts nothing
FIRST_SECONDS_PER_MAIL = 0.1
MIN_SECONDS_PER_MAIL = 1e-4
SAMPLE_WEIGHT = 1 / 8


class Throughput:
    __slots__ = ("_last_success", "_pending_since", "_seconds_per_mail")

    def __init__(self) -> None:
        self._seconds_per_mail = MovingAverage(FIRST_SECONDS_PER_MAIL)
        self._last_success = float("-inf")
        self._pending_since = float("-inf")  # the first arrival after the last success or an idle time

    def on_arrival(self, now: float, *, idle: bool) -> None:
        """A mail for it arrived. `idle`: it had nothing to do, so its silence until now proves nothing."""
        if idle or self._pending_since <= self._last_success:
            self._pending_since = now

    def on_success(self, now: float, seconds: float) -> None:
        self._last_success = now
        self._seconds_per_mail.add(seconds, SAMPLE_WEIGHT)

    def is_proven(self, now: float) -> bool:
        """It has accepted a mail lately."""
        return now - self._last_success < PROVEN_SECONDS

    def is_moving(self, now: float) -> bool:
        """It is accepting mail."""
        return now - self._last_success < MOVING_SECONDS

    def is_silent(self, now: float) -> bool:
        """Mail has waited for it for a while, and it has accepted none."""
        return not self.is_moving(now) and now - self._pending_since >= MOVING_SECONDS

    def mails_per_second(self, now: float, connections: int) -> float:
        if self.is_moving(now):
            return max(1, connections) / max(self._seconds_per_mail.value, MIN_SECONDS_PER_MAIL)
        return SILENT_MAILS_PER_SECOND if self.is_silent(now) else NEW_MAILS_PER_SECOND
