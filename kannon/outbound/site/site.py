"""One destination (MX site): it gives its connections to deliveries, queues them, or throttles them.

In: deliveries that want a session (`acquire_now`, `admit`, `acquire`) with their tenant, and the result of each mail
(`on_success`, `on_failure`). Out: a `Session`; a `Failure`, when no host accepts connections; or `Throttled`. Tasks of
the deliverer open the connections, so a server that does not answer delays its own mail only. `ConcurrencyLimit` says
how many connections there may be, `Admission` how many deliveries may wait, `FairQueue` which one is next, and
`CircuitBreaker` whether the destination is down.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Set
from functools import partial
from typing import Any

from kannon.mail.destination import Destination
from kannon.outbound.client.replies import RawReply
from kannon.outbound.client.session import Session
from kannon.outbound.route.routing import NextHop
from kannon.outbound.shares import Share
from kannon.outbound.site.admission import MIN_RETRY_SECONDS, Admission
from kannon.outbound.site.circuit_breaker import PROBE_SECONDS, CircuitBreaker
from kannon.outbound.site.concurrency import ConcurrencyLimit, RateLimit
from kannon.outbound.site.connections import Connections
from kannon.outbound.site.dialer import NO_OTHER_HOST, Dialer
from kannon.outbound.site.fair_queue import FairQueue
from kannon.outbound.site.throughput import Throughput
from kannon.outbound.throttled import Throttled
from kannon.outbound.trouble import Failure, Kind, is_about_the_host

Acquired = Session | Failure | Throttled
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Site:
    def __init__(
        self,
        hop: NextHop,
        dialer: Dialer,
        spawn: Spawn,
        scale: float,
        clock: Callable[[], float],
        share: Callable[["Site"], Share],
    ) -> None:
        """`share`: of the limits, now."""
        self.hop = hop
        self._share = partial(share, self)
        self.connections = Connections(self._pump)
        self._dialer = dialer
        self._spawn = spawn
        self._scale = scale
        self._clock = clock
        self._concurrency = ConcurrencyLimit(hop.limits.connections)
        self._rate_limit = RateLimit(hop.limits.rate_per_second)
        self._throughput = Throughput()
        self._admission = Admission(self._throughput, hop.limits.rate_per_second)
        self._breaker = CircuitBreaker(scale)
        self._queue: FairQueue[asyncio.Future[Acquired]] = FairQueue()
        self._last_failure = ""
        self._last_reply: RawReply | None = None  # to the final dot of the last mail, unless that failed
        self._preferred_answers = False
        self._last_tls = ""
        self._open_again_at = 0.0
        self._pump_timer: asyncio.TimerHandle | None = None

    # -- for deliveries

    @property
    def proven(self) -> bool:
        return self._throughput.is_proven(self._clock())

    def acquire_now(self) -> Session | None:
        """An idle session, if no delivery waits before this one."""
        now = self._clock()
        self._throughput.on_arrival(now, idle=not (self._queue or self.connections.opening or self.in_flight))
        if self._queue or not self.connections.has_idle or self._rate_limit.acquire(now, self._share().rate):
            return None
        return self.connections.take_idle()

    def admit(self, tenant: str) -> Failure | Throttled | None:
        """None: the delivery may queue. A full queue admits a tenant with fewer entries in it, and sheds the last entry
        of the tenant with the most."""
        now = self._clock()
        if self._breaker.is_open:
            return self._admit_while_open(now)
        if len(self._queue) < self._admission.max_queued(now, self._connection_limit):
            return None
        throttled = self._admission.throttle(now, self._connection_limit)
        shed = self._queue.shed(tenant)
        if shed is None:
            return throttled
        _resolve(shed, throttled)
        return None

    async def acquire(self, tenant: str) -> Acquired:
        """Queues for a session. Cancelling leaves the queue."""
        waiter: asyncio.Future[Acquired] = asyncio.get_running_loop().create_future()
        self._queue.push(tenant, waiter, self._clock())
        self._pump()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._queue.remove(waiter)
            if waiter.done() and not waiter.cancelled() and isinstance(session := waiter.result(), Session):
                self.release(session)
            raise

    async def switch_host(self, session: Session, tried: Set[str]) -> Session | Failure:
        """A new session to an address outside `tried`. It takes the place of `session` when the limit allows no further
        connection. `session` must not be used any more."""
        try:
            another = await self._dialer.has_another(self.hop, tried)
        except asyncio.CancelledError:
            self.release(session)
            raise
        if not another:
            self.release(session)  # a greylisting server with one address is no reason to connect again
            return NO_OTHER_HOST
        has_room = session.usable and self.connections.total < self._connection_limit
        self.connections.opening += 1
        opened: Session | Failure | None = None
        try:
            if has_room:
                self.release(session)
            elif session in self.connections:
                session.quit()
                await asyncio.shield(session.closed)
            opened = await self._dialer.dial(self.hop, tried)
        finally:
            self.connections.opening -= 1
            if isinstance(opened, Session):
                self.connections.add(opened)
            else:
                self._pump()  # the connection that was not opened makes room for a waiter
        return opened

    def release(self, session: Session) -> None:
        """After a mail, whatever its result."""
        session.idle_since = self._clock()
        if session not in self.connections:
            self._pump()
        elif not session.usable or self._is_surplus(session):
            session.quit()
        else:
            self.connections.put_idle(session)
            self._pump()

    def on_success(self, reply: RawReply, seconds: float) -> None:
        """The destination accepted a mail after `seconds`, with this reply to the final dot."""
        self._last_reply = reply
        self._throughput.on_success(self._clock(), seconds)
        self._concurrency.on_success()
        self._breaker.close()

    def on_failure(self, failure: Failure) -> None:
        self._note(failure)
        if is_about_the_host(failure):
            self._concurrency.on_connection_failure()
            if self._breaker.count_failure():
                self._open_breaker(failure)
            return
        self._breaker.close()
        if failure.reply is not None and failure.reply.code // 100 == 4:
            self._concurrency.on_deferral()

    # -- for the owner

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """Sessions in use."""
        return self.connections.in_flight

    @property
    def unused(self) -> bool:
        return not (self.connections.total or self._queue)

    def view(self) -> Destination:
        return Destination(
            site=self.hop.site,
            waiting=self.waiting,
            in_flight=self.in_flight,
            connections=len(self.connections),
            limit=self._connection_limit,
            last=self._last_verdict(),
            failure=self._last_failure,
            next_probe_in=self._breaker.seconds_to_probe(self._clock()) if self._breaker.is_open else None,
            policy=str(self.hop.policy),
            tls=self._last_tls,
            source=", ".join(self.hop.sources),
        )

    def on_share(self) -> None:
        """The share of the limits may have changed: idle connections beyond it end, and waiters get new ones."""
        self.connections.close_surplus(self._connection_limit)
        self._pump()

    def cancel_waiters(self, before: float, retry_in: float) -> None:
        """Those that have waited since `before` or longer."""
        for waiter in self._queue.pop_older(before):
            _resolve(waiter, Throttled(retry_in))

    def abort(self) -> int:
        """Ends the connections that QUIT did not end; how many."""
        if self._pump_timer is not None:
            self._pump_timer.cancel()
        return self.connections.abort()

    # -- inside

    @property
    def _connection_limit(self) -> int:
        share = self._share().connections
        return self._concurrency.value if share is None else min(self._concurrency.value, share)

    def _admit_while_open(self, now: float) -> Failure | Throttled | None:
        seconds = self._breaker.seconds_to_probe(now)
        if not seconds and not self.connections.opening and not self.in_flight:
            return None  # this delivery is the probe
        if suspended := self._breaker.suspended(now):
            return suspended
        return Throttled(max(seconds, MIN_RETRY_SECONDS * self._scale) + _jitter())

    def _last_verdict(self) -> str:
        if self._last_reply is None:
            return self._last_failure
        reply = self._last_reply.parsed()
        return f"delivered: {reply.code} {reply.text}"

    def _note(self, failure: Failure) -> None:
        self._last_failure = str(failure)
        self._last_reply = None

    def _is_surplus(self, session: Session) -> bool:
        if session.mails >= self.hop.limits.mails_per_connection or len(self.connections) > self._connection_limit:
            return True
        # RFC 5321 §5.1: a less preferred host gets no mail before a preferred one has been tried.
        return self._preferred_answers and not session.peer.preferred

    def _pump(self) -> None:
        """Hands idle sessions to waiters, and opens connections for the waiters that are left."""
        if not self._queue:
            return
        now = self._clock()
        while self._queue and self.connections.has_idle:
            if seconds := self._rate_limit.acquire(now, self._share().rate):
                self._pump_in(seconds)
                return
            session = self.connections.take_idle()
            if session is None:
                break
            self._resolve_next(session)
        allowed = 1 if self._breaker.is_open else self._connection_limit
        for _ in range(len(self._queue) - self.connections.opening):
            if self.connections.total >= allowed:
                return
            if self.connections and now < self._open_again_at:
                self._pump_in(self._open_again_at - now)
                return
            self.connections.opening += 1
            self._spawn(self._open_connection())

    def _pump_in(self, seconds: float) -> None:
        if self._pump_timer is None:
            self._pump_timer = asyncio.get_running_loop().call_later(seconds, self._pump_on_time)

    def _pump_on_time(self) -> None:
        self._pump_timer = None
        self._pump()

    async def _open_connection(self) -> None:
        try:
            opened = await self._dialer.dial(self.hop)
        finally:
            self.connections.opening -= 1
        if isinstance(opened, Session):
            self._preferred_answers = opened.peer.preferred
            self._last_tls = opened.peer.tls
            self.connections.add(opened)
            self.release(opened)
            return
        self._note(opened)
        if opened.kind is Kind.FACT:
            while self._queue:  # true for every mail
                self._resolve_next(opened)
        elif self.connections:
            # The server accepts some connections and no further one for now. No mail has to lose an attempt over that.
            self._concurrency.cap(len(self.connections))
            self._open_again_at = self._clock() + PROBE_SECONDS * self._scale
            self._pump_in(PROBE_SECONDS * self._scale)
        else:
            self._resolve_next(opened)
            self._open_breaker(opened)

    def _open_breaker(self, failure: Failure) -> None:
        now = self._clock()
        self._breaker.open(failure, now, random.random())  # noqa: S311  # jitter
        self._concurrency.cap(1)
        while self._queue:
            self._resolve_next(Throttled(self._breaker.seconds_to_probe(now) + _jitter()))

    def _resolve_next(self, acquired: Acquired) -> None:
        waiter = self._queue.pop()
        if waiter is not None and not _resolve(waiter, acquired) and isinstance(acquired, Session):
            self.connections.put_idle(acquired)


def _resolve(waiter: "asyncio.Future[Acquired]", acquired: Acquired) -> bool:
    """False for a waiter that was cancelled at this moment."""
    if waiter.done():
        return False
    waiter.set_result(acquired)
    return True


def _jitter() -> float:
    """Up to a second, so that throttled mail does not return all at once."""
    return random.random()  # noqa: S311  # spreads load, guards nothing
