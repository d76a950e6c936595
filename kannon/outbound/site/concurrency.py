"""How many connections a destination gets, and how many mails a second: an adaptive limit and a fixed one.

In: the result of each mail, and the time. Out: the number of connections; whether a mail may start now. No I/O, no
clock. The adaptive limit works as TCP's slow start: two connections, one more for each accepted mail, half of them
after a 421 or a lost connection, one fewer after another 4xx, and slower growth from there.
"""

FIRST_CONNECTIONS = 2
BURST_SECONDS = 0.05  # a rested destination gets the mails of this time at once, so a second exceeds the rate by 5 %
NO_RATE_SECONDS = 0.25  # until the next question, when this sender has no part of the rate yet


class ConcurrencyLimit:
    __slots__ = ("_limit", "_max", "_threshold")

    def __init__(self, max_connections: int) -> None:
        self._max = max_connections
        self._limit = float(min(FIRST_CONNECTIONS, max_connections))
        self._threshold = float(max_connections)

    @property
    def value(self) -> int:
        return int(self._limit)

    def on_success(self) -> None:
        if self._limit < self._max:
            step = 1 if self._limit < self._threshold else 1 / self._limit
            self._limit = min(self._max, self._limit + step)

    def on_deferral(self) -> None:
        """A 4xx other than 421."""
        self._limit = self._threshold = max(1.0, self._limit - 1)

    def on_connection_failure(self) -> None:
        """A 421 or a lost connection."""
        self._limit = self._threshold = max(1.0, self._limit // 2)

    def cap(self, connections: int) -> None:
        """The server accepts no more connections than these."""
        self._limit = self._threshold = float(max(1, connections))


class RateLimit:
    """A token bucket that holds the mails of BURST_SECONDS, at least one. `per_second` 0: no limit."""

    __slots__ = ("_next_start", "_per_second")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._next_start = 0.0

    def acquire(self, now: float, part: float = 1.0) -> float:
        """0 when a mail may start now, which uses a token up; else the seconds until the next token. `part`: of the
        rate, for this process."""
        if not self._per_second:
            return 0.0
        if not part:
            return NO_RATE_SECONDS
        if now < self._next_start:
            return self._next_start - now
        self._next_start = max(self._next_start, now - BURST_SECONDS) + 1 / (self._per_second * part)
        return 0.0
