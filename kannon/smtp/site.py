"""One destination: the connections to an MX site, who waits for them, and how hard it is pressed.

In: deliveries that want a session (`lend`, `wait`) and what came of each mail (`went_well`, `went_badly`). Out: a
`Session`; or a `Failure`, the reason no host could be reached; or `Busy`, which costs the delivery nothing.
Connections are opened by tasks of the pool's own, so a server that does not answer holds up nobody but those who wait
for it.

Slow start as in TCP: two connections, one more for each mail taken, half of them at a 421 or a lost connection, one
fewer at another 4xx, and from there more slowly up. A destination whose every host fails is down: one connection
probes it, after a growing delay, and its mail waits outside; after SUSPEND_SECONDS its mail is deferred with the last
failure instead.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Coroutine, Set
from dataclasses import dataclass
from typing import Any, Protocol

from kannon.smtp.routing import Plan
from kannon.smtp.session import Session
from kannon.smtp.trouble import Failure, Kind, is_about_the_host

FIRST_CONNECTIONS = 2
IDLE_SECONDS = 60.0
PROBE_SECONDS = 1.0  # doubled at each failed probe
MAX_PROBE_SECONDS = 60.0
SUSPEND_SECONDS = 120.0
DOWN_AFTER = 3  # lost connections or 421s without a mail taken in between
PROVEN_SECONDS = 30.0
MOVING_SECONDS = 2.0
QUEUE_SECONDS = 1.0  # as much as a destination works off in this time may wait in memory
QUEUE_NEW = 10  # before it has shown how fast it is
QUEUE_SILENT = 2  # when it has shown nothing for a while
MAILS_A_SECOND_HOPED = 200.0  # of a destination just met
MAILS_A_SECOND_FEARED = 2.0  # of one that has taken none for a while
MAX_BUSY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Busy:
    """No connection is free, or the destination is being probed: try again in so many seconds. No attempt was made."""

    retry_in: float


Lent = Session | Failure | Busy


class Pool(Protocol):
    """What a site needs of its owner."""

    def spawn(self, job: Coroutine[Any, Any, None]) -> None: ...

    async def open(self, plan: Plan, avoid: Set[str]) -> Session | Failure:
        """The first host that lets us in, those at the addresses `avoid` left out."""
        ...


class Site:
    def __init__(self, plan: Plan, pool: Pool, scale: float) -> None:
        self.plan = plan
        self.last = ""  # what came of the last mail or connection, in words
        self._pool = pool
        self._scale = scale
        self._sessions: set[Session] = set()
        self._idle: list[Session] = []  # the last one used is the first one lent, so that a surplus falls idle
        self._opening = 0
        self._waiting: OrderedDict[asyncio.Future[Lent], float] = OrderedDict()  # since when
        self._limit = float(min(FIRST_CONNECTIONS, plan.limits.connections))
        self._threshold = float(plan.limits.connections)
        self._seconds_a_mail = 0.1
        self._last_success = float("-inf")
        self._met = time.monotonic()
        self._failures = 0
        self._next_send = 0.0
        self._next_room = 0.0
        self._pump_timer: asyncio.TimerHandle | None = None
        # While down:
        self._down_since: float | None = None
        self._down_failure: Failure | None = None
        self._next_probe = 0.0
        self._probe_seconds = PROBE_SECONDS
        self._open_again_at = 0.0
        self.used_at = time.monotonic()

    # -- what deliveries use

    @property
    def proven(self) -> bool:
        return time.monotonic() - self._last_success < PROVEN_SECONDS

    def lend(self) -> Session | None:
        """A session that is free this moment, if nobody waits before us."""
        if not (self._waiting or self._opening or self._lent):
            self._met = time.monotonic()  # one that has rested is met anew: its silence says nothing of its speed
        if self._waiting or not self._rate_allows():
            return None
        return self._take_idle()

    def turned_away(self) -> Failure | Busy | None:
        """Why a delivery should not even wait, or None."""
        now = time.monotonic()
        if self._down_since is not None:
            if now >= self._next_probe and not self._opening and not self._lent:
                return None  # this one is the probe
            if now - self._down_since > SUSPEND_SECONDS * self._scale and self._down_failure is not None:
                last = self._down_failure
                return Failure(last.kind, last.stage, last.reply, f"destination is down: {last.reason}".rstrip(": "))
            return Busy(max(self._next_probe - now, 0.5 * self._scale) + random.random())  # noqa: S311  # jitter
        if self._at_rest:
            self._met = now
        speed = self._mails_a_second(now)
        if now - self._last_success < MOVING_SECONDS:
            room = max(QUEUE_NEW, int(speed * QUEUE_SECONDS))
        else:
            room = QUEUE_NEW if now - self._met < MOVING_SECONDS else QUEUE_SILENT
        if len(self._waiting) < room:
            return None
        # Whoever is turned away comes back when, at the present speed, those before have gone.
        self._next_room = min(max(self._next_room, now + 0.5) + 1 / speed, now + MAX_BUSY_SECONDS)
        return Busy(self._next_room - now)

    async def wait(self) -> Lent:
        """In line for a session. Cancelling gives the place up."""
        place: asyncio.Future[Lent] = asyncio.get_running_loop().create_future()
        self._waiting[place] = time.monotonic()
        self._pump()
        try:
            return await place
        except asyncio.CancelledError:
            self._waiting.pop(place, None)
            if place.done() and not place.cancelled() and isinstance(session := place.result(), Session):
                self.give_back(session)
            raise

    async def another_host(self, session: Session, tried: Set[str]) -> Session | Failure:
        """A new session to an address that is not among `tried`, within the limit: in place of `session` where there is
        no room beside it. `session` must not be used any more."""
        if session.usable and len(self._sessions) + self._opening < int(self._limit):
            self.give_back(session)
        elif session in self._sessions:
            self._end(session)
            await asyncio.shield(session.closed)
        self._opening += 1
        try:
            opened = await self._pool.open(self.plan, tried)
        finally:
            self._opening -= 1
        if isinstance(opened, Session):
            self._add(opened)
        return opened

    def give_back(self, session: Session) -> None:
        """After a mail, whatever came of it."""
        session.idle_since = time.monotonic()
        if session not in self._sessions:
            self._pump()
        elif not session.usable or session.mails >= self.plan.limits.mails_per_connection:
            self._end(session)
        else:
            self._idle.append(session)
            self._pump()

    def went_well(self, seconds: float) -> None:
        """A mail was taken, after `seconds`."""
        self._last_success = self.used_at = time.monotonic()
        self._seconds_a_mail += (seconds - self._seconds_a_mail) / 8
        self._alive()
        if self._limit < self.plan.limits.connections:
            self._limit += 1 if self._limit < self._threshold else 1 / self._limit
            self._limit = min(self._limit, self.plan.limits.connections)

    def went_badly(self, failure: Failure) -> None:
        """A mail was not taken."""
        if is_about_the_host(failure):
            self._limit = self._threshold = max(1.0, self._limit // 2)
            self._failures += 1
            if self._failures >= DOWN_AFTER or self._down_since is not None:
                self._go_down(failure)
            return
        self._alive()
        if failure.reply is not None and failure.reply.code // 100 == 4:
            self._limit = self._threshold = max(1.0, self._limit - 1)

    # -- what the owner uses

    def reap(self, now: float) -> None:
        """Ends connections that have been idle too long."""
        for session in [each for each in self._idle if now - each.idle_since > IDLE_SECONDS * self._scale]:
            self._idle.remove(session)
            self._end(session)

    def turn_away(self, before: float, retry_in: float) -> None:
        """Those who have waited since `before` or longer."""
        while self._waiting and next(iter(self._waiting.values())) <= before:
            self._answer_one(Busy(retry_in))

    def close(self) -> list["asyncio.Future[None]"]:
        """QUIT to all. Returns what to wait for."""
        self._idle.clear()
        for session in self._sessions:
            session.quit()
        return [session.closed for session in self._sessions]

    def abort(self) -> None:
        """What QUIT did not end in time."""
        if self._pump_timer is not None:
            self._pump_timer.cancel()
        for session in list(self._sessions):
            session.abort()

    @property
    def unused(self) -> bool:
        return not (self._sessions or self._opening or self._waiting)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def connections(self) -> int:
        return len(self._sessions)

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        return self._lent

    @property
    def next_probe_in(self) -> float | None:
        """Seconds, or None while it is not down."""
        return None if self._down_since is None else max(0.0, self._next_probe - time.monotonic())

    # -- inside

    @property
    def _at_rest(self) -> bool:
        return not self._waiting and not self._opening and not self._lent

    @property
    def _lent(self) -> int:
        return len(self._sessions) - len(self._idle)

    def _mails_a_second(self, now: float) -> float:
        if now - self._last_success < MOVING_SECONDS:
            return max(1.0, self._limit) / max(self._seconds_a_mail, 1e-4)
        return MAILS_A_SECOND_HOPED if now - self._met < MOVING_SECONDS else MAILS_A_SECOND_FEARED

    def _take_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.usable:
                return session
        return None

    def _rate_allows(self) -> bool:
        """Takes one of the second's places, where there is a rate."""
        rate = self.plan.limits.rate_per_second
        if not rate:
            return True
        now = time.monotonic()
        if now < self._next_send:
            return False
        self._next_send = max(self._next_send, now - 1) + 1 / rate  # what a quiet second left over may be caught up
        return True

    def _pump(self) -> None:
        """Lends what is idle to those who wait, and opens what they lack."""
        while self._waiting and self._idle:
            if not self._rate_allows():
                self._pump_at(self._next_send)
                return
            session = self._take_idle()
            if session is None:
                break
            place, _ = self._waiting.popitem(last=False)
            if place.done():
                self._idle.append(session)
            else:
                place.set_result(session)
        now = time.monotonic()
        wanted = len(self._waiting) - self._opening
        allowed = 1 if self._down_since is not None else int(self._limit)
        while wanted > 0 and len(self._sessions) + self._opening < allowed:
            if now < self._open_again_at and self._sessions:
                self._pump_at(self._open_again_at)
                return
            self._opening += 1
            wanted -= 1
            self._pool.spawn(self._open())

    def _pump_at(self, when: float) -> None:
        if self._pump_timer is None:
            delay = max(0.0, when - time.monotonic())
            self._pump_timer = asyncio.get_running_loop().call_later(delay, self._pump_on_time)

    def _pump_on_time(self) -> None:
        self._pump_timer = None
        self._pump()

    async def _open(self) -> None:
        try:
            opened = await self._pool.open(self.plan, frozenset())
        finally:
            self._opening -= 1
        if isinstance(opened, Session):
            self._add(opened)
            self.give_back(opened)
            return
        self.last = opened.reply.text if opened.reply else opened.reason
        if opened.kind is Kind.FACT:
            self._answer_all(opened)  # true for every mail
            return
        if self._sessions:
            # It lets some of us in, so it has enough of them for now; no mail need lose a try over that.
            self._limit = self._threshold = float(max(1, len(self._sessions)))
            self._open_again_at = time.monotonic() + PROBE_SECONDS * self._scale
            self._pump_at(self._open_again_at)
        else:
            self._answer_one(opened)
            self._go_down(opened)

    def _answer_one(self, answer: Lent) -> None:
        while self._waiting:
            place, _ = self._waiting.popitem(last=False)
            if not place.done():
                place.set_result(answer)
                return

    def _answer_all(self, answer: Lent) -> None:
        while self._waiting:
            self._answer_one(answer)

    def _go_down(self, failure: Failure) -> None:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
            self._probe_seconds = PROBE_SECONDS
        self._down_failure = failure
        self._limit = 1.0
        self._next_probe = now + self._probe_seconds * self._scale * (0.8 + 0.4 * random.random())  # noqa: S311  # jitter
        self._probe_seconds = min(2 * self._probe_seconds, MAX_PROBE_SECONDS)
        self._answer_all(Busy(self._next_probe - now + random.random()))  # noqa: S311  # not all at once

    def _alive(self) -> None:
        self._failures = 0
        self._down_since = self._down_failure = None

    def _add(self, session: Session) -> None:
        self._sessions.add(session)
        session.closed.add_done_callback(lambda _: self._gone(session))

    def _gone(self, session: Session) -> None:
        self._sessions.discard(session)
        if session in self._idle:
            self._idle.remove(session)
        self._pump()

    def _end(self, session: Session) -> None:
        session.quit()
