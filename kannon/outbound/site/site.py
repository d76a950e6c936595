"""One destination: the connections to an MX site, and who waits for them.

In: deliveries that want a session (`lend`, `wait`), of which tenant, and what came of each mail (`went_well`,
`went_badly`). Out: a `Session`; or a `Failure`, the reason no host could be reached; or `Throttled`, which costs the
delivery nothing. Connections are opened by tasks of the pool's own, so a server that does not answer holds up nobody
but those who wait for it; `pace` says how many there may be, `line` who comes next. A destination whose every host
fails is down (`outage`): one connection probes it while its mail waits outside.
"""

import asyncio
import random
import time
from collections.abc import Coroutine, Set
from dataclasses import dataclass
from typing import Any, Protocol

from kannon.mail.verdict import Stage
from kannon.outbound.client.dialogue import RawReply
from kannon.outbound.client.session import Session
from kannon.outbound.route.routing import NextHop
from kannon.outbound.site.circuit_breaker import PROBE_SECONDS, CircuitBreaker
from kannon.outbound.site.concurrency import Pace
from kannon.outbound.site.fair_queue import FairQueue
from kannon.outbound.trouble import Failure, Kind, is_about_the_host

QUEUE_SECONDS = 1.0  # as much as a destination works off in this time may wait in memory
QUEUE_NEW = 20  # before it has shown how fast it is
QUEUE_SILENT = 2  # when it has shown nothing for a while
SHORTEST_BUSY_SECONDS = 0.5
LONGEST_BUSY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Throttled:
    """No connection is free, or the destination is being probed: try again in so many seconds. No attempt was made.
    `rate`: mails a second that it takes; 0: unknown."""

    retry_in: float
    rate: float = 0.0


Lent = Session | Failure | Throttled


class Pool(Protocol):
    """What a site needs of its owner."""

    def spawn(self, job: Coroutine[Any, Any, None]) -> None: ...

    async def open(self, plan: NextHop, avoid: Set[str]) -> Session | Failure:
        """The first host that lets us in, those at the addresses `avoid` left out."""
        ...

    async def knows_another(self, plan: NextHop, avoid: Set[str]) -> bool:
        """Whether `open` would dial at all."""
        ...


class Site:
    def __init__(self, plan: NextHop, pool: Pool, scale: float) -> None:
        self.plan = plan
        self.failure = ""  # how the last one read
        self._last: RawReply | None = None  # to the dot of the last mail, unless that failed
        self.outage = CircuitBreaker(scale)
        self._pace = Pace(plan.limits, time.monotonic())
        self._pool = pool
        self._scale = scale
        self._sessions: set[Session] = set()
        self._idle: list[Session] = []  # the last one used is the first one lent, so that a surplus falls idle
        self._opening = 0
        self._open_again_at = 0.0
        self._preferred_answers = False
        self._waiting: FairQueue[asyncio.Future[Lent]] = FairQueue()
        self._next_room = 0.0
        self._pump_timer: asyncio.TimerHandle | None = None

    # -- what deliveries use

    @property
    def proven(self) -> bool:
        return self._pace.proven(time.monotonic())

    def lend(self) -> Session | None:
        """A session that is free this moment, if nobody waits before us."""
        if self._waiting or not self._idle or self._pace.wait_for_turn(time.monotonic()):
            return None
        return self._take_idle()

    def turned_away(self, tenant: str) -> Failure | Throttled | None:
        """Why a delivery should not even wait, or None. Where the line is full, a tenant with fewer in it may join, and
        the last of the one with most goes."""
        now = time.monotonic()
        if self.outage.down:
            return self._turned_away_while_down(now)
        if not self._waiting and not self._opening and not self.in_flight:
            self._pace.meet(now)
        speed = self._pace.mails_a_second(now)
        if self._pace.moving(now):
            room = max(QUEUE_NEW, int(speed * QUEUE_SECONDS))
        else:
            room = QUEUE_SILENT if self._pace.silent(now) else QUEUE_NEW
        if len(self._waiting) < room:
            return None
        # Whoever is turned away comes back when, at the present speed, those before have gone.
        self._next_room = max(self._next_room, now + SHORTEST_BUSY_SECONDS) + 1 / speed
        self._next_room = min(self._next_room, now + LONGEST_BUSY_SECONDS)
        busy = Throttled(self._next_room - now, speed)
        makes_way = self._waiting.make_way(tenant)
        if makes_way is None:
            return busy
        _answer(makes_way, busy)
        return None

    async def wait(self, tenant: str) -> Lent:
        """In line for a session. Cancelling gives the place up."""
        place: asyncio.Future[Lent] = asyncio.get_running_loop().create_future()
        self._waiting.join(tenant, place, time.monotonic())
        self._pump()
        try:
            return await place
        except asyncio.CancelledError:
            self._waiting.leave(place)
            if place.done() and not place.cancelled() and isinstance(session := place.result(), Session):
                self.give_back(session)
            raise

    async def another_host(self, session: Session, tried: Set[str]) -> Session | Failure:
        """A new session to an address that is not among `tried`, within the limit: in place of `session` where there is
        no room beside it. `session` must not be used any more."""
        try:
            another = await self._pool.knows_another(self.plan, tried)
        except asyncio.CancelledError:
            self.give_back(session)
            raise
        if not another:
            self.give_back(session)  # a greylisting server with one address is no reason to connect anew
            return Failure(Kind.CONNECT, Stage.CONNECT, reason="no other host")
        room = session.usable and len(self._sessions) + self._opening < self._pace.connections
        self._opening += 1
        opened: Session | Failure | None = None
        try:
            if room:
                self.give_back(session)
            elif session in self._sessions:
                session.quit()
                await asyncio.shield(session.closed)
            opened = await self._pool.open(self.plan, tried)
        finally:
            self._opening -= 1
            if isinstance(opened, Session):
                self._add(opened)
            else:
                self._pump()  # whoever waits may have waited for this place
        return opened

    def give_back(self, session: Session) -> None:
        """After a mail, whatever came of it."""
        session.idle_since = time.monotonic()
        if session not in self._sessions:
            self._pump()
        elif not session.usable or self._is_surplus(session):
            session.quit()
        else:
            self._idle.append(session)
            self._pump()

    def went_well(self, reply: RawReply, seconds: float) -> None:
        """A mail was taken, after `seconds`, with this reply to the final dot."""
        self._last = reply
        self._pace.taken(time.monotonic(), seconds)
        self.outage.over()

    def went_badly(self, failure: Failure) -> None:
        """A mail was not taken."""
        self._failed(failure)
        if is_about_the_host(failure):
            self._pace.pushed_back(hard=True)
            if self.outage.lost_one():
                self._go_down(failure)
            return
        self.outage.over()
        if failure.reply is not None and failure.reply.code // 100 == 4:
            self._pace.pushed_back(hard=False)

    # -- what the owner uses

    def idle_since(self) -> list[float]:
        """Of each connection that is idle."""
        return [session.idle_since for session in self._idle]

    def reap(self, before: float) -> None:
        """Ends connections that have been idle since then or longer."""
        for session in [each for each in self._idle if each.idle_since <= before]:
            self._idle.remove(session)
            session.quit()

    def turn_away(self, before: float, retry_in: float) -> None:
        """Those who have waited since `before` or longer."""
        for place in self._waiting.late(before):
            _answer(place, Throttled(retry_in))

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
    def last(self) -> str:
        """The last verdict in words."""
        if self._last is None:
            return self.failure
        reply = self._last.parsed()
        return f"delivered: {reply.code} {reply.text}"

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def connections(self) -> int:
        return len(self._sessions)

    @property
    def limit(self) -> int:
        return self._pace.connections

    @property
    def in_flight(self) -> int:
        """Sessions that are lent."""
        return len(self._sessions) - len(self._idle)

    # -- inside

    def _turned_away_while_down(self, now: float) -> Failure | Throttled | None:
        seconds = self.outage.seconds_to_probe(now)
        if not seconds and not self._opening and not self.in_flight:
            return None  # this one is the probe
        if suspended := self.outage.suspended(now):
            return suspended
        return Throttled(max(seconds, SHORTEST_BUSY_SECONDS * self._scale) + _jitter())

    def _failed(self, failure: Failure) -> None:
        self.failure = str(failure)
        self._last = None

    def _is_surplus(self, session: Session) -> bool:
        if session.mails >= self.plan.limits.mails_per_connection or len(self._sessions) > self._pace.connections:
            return True
        # RFC 5321 §5.1: a less preferred host gets no mail that a preferred one has not been asked to take.
        return self._preferred_answers and not session.peer.preferred

    def _take_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if session.usable:
                return session
        return None

    def _pump(self) -> None:
        """Lends what is idle to those who wait, and opens what they lack."""
        now = time.monotonic()
        while self._waiting and self._idle:
            if seconds := self._pace.wait_for_turn(now):
                self._pump_in(seconds)
                return
            session = self._take_idle()
            if session is None:
                break
            self._answer_one(session)
        allowed = 1 if self.outage.down else self._pace.connections
        for _ in range(len(self._waiting) - self._opening):
            if len(self._sessions) + self._opening >= allowed:
                return
            if self._sessions and now < self._open_again_at:
                self._pump_in(self._open_again_at - now)
                return
            self._opening += 1
            self._pool.spawn(self._open())

    def _pump_in(self, seconds: float) -> None:
        if self._pump_timer is None:
            self._pump_timer = asyncio.get_running_loop().call_later(seconds, self._pump_on_time)

    def _pump_on_time(self) -> None:
        self._pump_timer = None
        self._pump()

    async def _open(self) -> None:
        try:
            opened = await self._pool.open(self.plan, frozenset())
        finally:
            self._opening -= 1
        if isinstance(opened, Session):
            self._preferred_answers = opened.peer.preferred
            self._add(opened)
            self.give_back(opened)
            return
        self._failed(opened)
        if opened.kind is Kind.FACT:
            while self._waiting:  # true for every mail
                self._answer_one(opened)
        elif self._sessions:
            # It lets some of us in, so it has enough of them for now; no mail need lose a try over that.
            self._pace.enough(len(self._sessions))
            self._open_again_at = time.monotonic() + PROBE_SECONDS * self._scale
            self._pump_in(PROBE_SECONDS * self._scale)
        else:
            self._answer_one(opened)
            self._go_down(opened)

    def _answer_one(self, answer: Lent) -> None:
        """Those who wait leave the line when they are answered or give up, so whose turn it is still waits."""
        place = self._waiting.next()
        if place is not None and not _answer(place, answer) and isinstance(answer, Session):
            self._idle.append(answer)  # given up this moment

    def _go_down(self, failure: Failure) -> None:
        now = time.monotonic()
        self.outage.begin(failure, now, random.random())  # noqa: S311  # jitter
        self._pace.enough(1)
        while self._waiting:
            self._answer_one(Throttled(self.outage.seconds_to_probe(now) + _jitter()))

    def _add(self, session: Session) -> None:
        self._sessions.add(session)
        session.closed.add_done_callback(lambda _: self._gone(session))

    def _gone(self, session: Session) -> None:
        self._sessions.discard(session)
        if session in self._idle:
            self._idle.remove(session)
        self._pump()


def _answer(place: "asyncio.Future[Lent]", answer: Lent) -> bool:
    """False where it was given up this moment."""
    if place.done():
        return False
    place.set_result(answer)
    return True


def _jitter() -> float:
    """Up to a second, so that not all come back at once."""
    return random.random()  # noqa: S311  # spreads load, guards nothing
