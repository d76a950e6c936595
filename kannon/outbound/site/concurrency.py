"""How hard one destination is pressed: connections, mails a second, and how fast it takes them. No I/O, no clock.

In: what came of each mail, and the time. Out: how many connections it may have, whether a mail may go now, and its
speed. Slow start as in TCP: two connections, one more for each mail taken, half of them at a 421 or a lost connection,
one fewer at another 4xx, and from there more slowly up.
"""

from kannon.outbound.site.limits import SiteLimits

FIRST_CONNECTIONS = 2
PROVEN_SECONDS = 30.0
MOVING_SECONDS = 2.0
MAILS_A_SECOND_HOPED = 200.0  # of a destination just met
MAILS_A_SECOND_FEARED = 2.0  # of one that has taken none for a while
SHORTEST_MAIL_SECONDS = 1e-4


class Pace:
    __slots__ = ("_last_success", "_limit", "_limits", "_met", "_next_send", "_seconds_a_mail", "_threshold")

    def __init__(self, limits: SiteLimits, now: float) -> None:
        self._limits = limits
        self._limit = float(min(FIRST_CONNECTIONS, limits.connections))
        self._threshold = float(limits.connections)
        self._seconds_a_mail = 0.1
        self._last_success = float("-inf")
        self._met = now
        self._next_send = 0.0

    @property
    def connections(self) -> int:
        return int(self._limit)

    def meet(self, now: float) -> None:
        """It was at rest: what it has not shown in the meantime says nothing."""
        self._met = now

    def proven(self, now: float) -> bool:
        """It has taken a mail lately."""
        return now - self._last_success < PROVEN_SECONDS

    def moving(self, now: float) -> bool:
        """It is taking mail."""
        return now - self._last_success < MOVING_SECONDS

    def silent(self, now: float) -> bool:
        """It has been asked for a while and has shown nothing."""
        return not self.moving(now) and now - self._met >= MOVING_SECONDS

    def mails_a_second(self, now: float) -> float:
        """Measured while it moves; else hoped for, then feared."""
        if self.moving(now):
            speed = max(1.0, self._limit) / max(self._seconds_a_mail, SHORTEST_MAIL_SECONDS)
        else:
            speed = MAILS_A_SECOND_FEARED if self.silent(now) else MAILS_A_SECOND_HOPED
        rate = self._limits.rate_per_second
        return min(speed, rate) if rate else speed

    def taken(self, now: float, seconds: float) -> None:
        """A mail was taken, after `seconds`."""
        self._last_success = now
        self._seconds_a_mail += (seconds - self._seconds_a_mail) / 8
        most = self._limits.connections
        if self._limit < most:
            self._limit = min(most, self._limit + (1 if self._limit < self._threshold else 1 / self._limit))

    def pushed_back(self, *, hard: bool) -> None:
        """`hard`: a 421 or a lost connection; else another 4xx."""
        self._limit = self._threshold = max(1.0, self._limit // 2 if hard else self._limit - 1)

    def enough(self, connections: int) -> None:
        """It lets no more in than these."""
        self._limit = self._threshold = float(max(1, connections))

    def wait_for_turn(self, now: float) -> float:
        """0 when a mail may go now, which takes the turn; else how long until one may."""
        rate = self._limits.rate_per_second
        if not rate:
            return 0.0
        if now < self._next_send:
            return self._next_send - now
        self._next_send = max(self._next_send, now - 1) + 1 / rate  # what a quiet second left over may be caught up
        return 0.0
