"""Admission to a destination's queue: its length, and the retry time of a throttled mail. No I/O, no clock.

In: the destination's throughput and limits, and the time. Out: the length of the queue, and a `Throttled`. Each
throttled mail comes back when the ones before it have gone at the present speed, so they do not return all at once.
"""

from kannon.outbound.site.throughput import Throughput
from kannon.outbound.throttled import Throttled

QUEUE_SECONDS = 1.0  # a queue holds as many mails as the destination accepts in this time
QUEUE_NEW = 20  # before its speed is measured
QUEUE_SILENT = 2  # when it is silent
MIN_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 30.0


class Admission:
    """`max_rate`: the destination's rate limit; 0: none."""

    __slots__ = ("_ahead", "_max_rate", "_throughput", "_updated")

    def __init__(self, throughput: Throughput, max_rate: float) -> None:
        self._throughput = throughput
        self._max_rate = max_rate
        self._ahead = 0.0  # throttled mails that come back before the next one
        self._updated = 0.0

    def max_queued(self, now: float, connections: int) -> int:
        if self._throughput.is_moving(now):
            return max(QUEUE_NEW, int(self._speed(now, connections) * QUEUE_SECONDS))
        return QUEUE_SILENT if self._throughput.is_silent(now) else QUEUE_NEW

    def throttle(self, now: float, connections: int) -> Throttled:
        """For one more mail than the queue holds."""
        speed = self._speed(now, connections)
        gone = (now - self._updated) * speed
        self._updated = now
        self._ahead = min(max(0.0, self._ahead - gone) + 1, (MAX_RETRY_SECONDS - MIN_RETRY_SECONDS) * speed)
        return Throttled(MIN_RETRY_SECONDS + self._ahead / speed, speed)

    def _speed(self, now: float, connections: int) -> float:
        speed = self._throughput.mails_per_second(now, connections)
        return min(speed, self._max_rate) if self._max_rate else speed
