"""From an envelope to a verdict: the one function callers need, and the owner of everything behind it.

In: an `Envelope`. Out: a `Verdict`, or `Throttled` when the destination has no room, which is no attempt. Never an
exception for anything a remote does. At most `sender.concurrency` mails are being sent at once; those that wait (for
DNS, a connection, a place) are bounded too: when too many do, the one that has waited longest is turned away as
`Throttled`, so deliveries to servers that hang make room for the others.
"""

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Set
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup

from kannon.config import Dns, Sender
from kannon.mail.address import canonical_domain
from kannon.mail.destination import Destination
from kannon.mail.envelope import Envelope
from kannon.mail.verdict import Deferred, Delivered, Refused, Reply, Stage, Verdict
from kannon.outbound.client.connect import Connector, Target, TransportPolicy
from kannon.outbound.client.dialogue import Mail, Transaction, prepare, unable
from kannon.outbound.client.session import Session
from kannon.outbound.client.tls import make_contexts
from kannon.outbound.limiter import STALLED_SECONDS, Claim, Limiter, Place
from kannon.outbound.route.resolver import Resolver
from kannon.outbound.route.routing import NextHop, NoHop, Router
from kannon.outbound.site.site import Site, Throttled
from kannon.outbound.trouble import Failure, Kind, asks_another_host, classify, worse

log = structlog.get_logger()

T = TypeVar("T")
_Key = tuple[str, TransportPolicy, bool]

SITE_SECONDS = 600.0  # an unused destination is remembered so long
MAX_RESTING = 10_000  # and so many of them
IDLE_SECONDS = 60.0
REAP_SECONDS = 0.25
CLOSE_SECONDS = 3.0
MIN_DNS_SCALE = 0.1  # timeout_scale is for remote servers; the name server is near, and must not be hurried to nothing
MAX_SPOKEN_TO = 2  # hosts that were told of the mail
HELD_SECONDS = 0.75  # whoever waits longer makes way when others need the room, and comes back after as long

BAD_ADDRESS = Reply(550, "the recipient's domain is not a domain name", "5.1.2")


class Deliverer:
    """`async with Deliverer(config.sender, config.dns) as deliverer:`; leaving says QUIT to every server.
    `sender.hostname` is filled in (kannon.hostname)."""

    def __init__(self, sender: Sender, dns: Dns) -> None:
        self._sender = sender
        self._dns = dns
        self._scale = sender.timeout_scale
        self._slots = Limiter(sender.concurrency)
        self._max_held = max(2 * sender.concurrency, 100)
        self._held: dict[anyio.CancelScope, float] = {}  # since when; waiters for a connection are held by their site
        self._max_idle = 5 * sender.concurrency  # connections of all destinations, kept for the next mail
        self._sites: dict[_Key, Site] = {}  # in use, by their plans' key
        self._resting: dict[_Key, tuple[float, Site]] = {}  # the others, in the order of since when
        self._opener = Connector(sender.hostname, make_contexts(sender.tls_ca_file), self._scale, sender.source_ips)
        self._resolver = Resolver(dns.nameservers, self.spawn, scale=max(self._scale, MIN_DNS_SCALE))
        self._router = Router(sender, self._resolver)
        self._group: TaskGroup | None = None
        self._stopping = False

    @property
    def capacity(self) -> int:
        """How many calls of `deliver` may run at once and still make way for each other."""
        return self._sender.concurrency + self._max_held

    async def __aenter__(self) -> Self:
        self._stopping = False
        self._group = await anyio.create_task_group().__aenter__()
        self._group.start_soon(self._reap)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        group, self._group = self._group, None
        assert group is not None, "entered"  # noqa: S101  # for the type checker
        self.turn_away()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_SECONDS * self._scale) as closing:
            pending = [each for site in self._sites.values() for each in site.close()]
            if pending:
                await asyncio.wait(pending)
        if closing.cancelled_caught:
            log.debug("connections cut", count=sum(site.connections for site in self._sites.values()))
        for site in self._sites.values():
            site.abort()
        self._sites.clear()
        self._resting.clear()
        group.cancel_scope.cancel()
        return await group.__aexit__(kind, error, trace)

    def turn_away(self) -> None:
        """For stopping: whatever waits becomes Throttled, whatever is being sent goes on."""
        self._stopping = True
        for scope in self._held:
            scope.cancel()
        for site in self._sites.values():
            site.turn_away(time.monotonic(), 0.0)

    async def deliver(self, envelope: Envelope) -> Verdict | Throttled:
        """One try, at most two hosts that were spoken to about the mail. Cancelling closes the connection in use."""
        local, _, domain = envelope.rcpt_to.rpartition("@")
        try:
            domain = canonical_domain(domain)
        except ValueError:
            return Refused(BAD_ADDRESS, Stage.DNS, "")
        plan: NextHop | NoHop | Throttled | None = self._router.known(domain)
        if plan is None:
            plan = await self._hold(self._router.plan(domain))
        if isinstance(plan, Throttled):
            return plan
        if isinstance(plan, NoHop):
            return classify(plan.failure, "")
        site = self._site(plan)
        session: Session | Failure | Throttled | None = site.lend() or site.turned_away(envelope.domain)
        if session is None:
            session = Throttled(0.0) if self._stopping else await site.wait(envelope.domain)
        if isinstance(session, Throttled):
            return session
        if isinstance(session, Failure):
            return classify(session, plan.groups[0][0])
        mail = prepare(envelope, f"{local}@{domain}")
        return await self._send(site, mail, session)

    def destinations(self) -> list[Destination]:
        """A snapshot, the busiest first."""
        now = time.monotonic()
        found = [
            Destination(
                site=site.plan.site,
                waiting=site.waiting,
                in_flight=site.in_flight,
                connections=site.connections,
                limit=site.limit,
                last=site.last,
                failure=site.failure,
                next_probe_in=site.outage.seconds_to_probe(now) if site.outage.down else None,
            )
            for site in (*self._sites.values(), *(site for _, site in self._resting.values()))
        ]
        return sorted(found, key=lambda each: each.busy, reverse=True)

    # -- what sites use

    def spawn(self, job: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            job.close()
            raise RuntimeError("the deliverer has not been entered")
        self._group.start_soon(_run, job)

    async def open(self, plan: NextHop, avoid: Set[str]) -> Session | Failure:
        """The first of the plan's addresses that lets us in; else the failure that came furthest."""
        worst: Failure | None = None
        async with aclosing(self._router.targets(plan)) as targets:
            async for target in targets:
                if isinstance(target, Failure):
                    worst = worse(worst, target) if worst else target
                elif target.address not in avoid:
                    opened = await self._opener.open(target, plan.access, plan.site)
                    if isinstance(opened, Session):
                        return opened
                    opened = replace(opened, host=target.host)
                    worst = worse(worst, opened) if worst else opened
        return worst or Failure(Kind.CONNECT, Stage.CONNECT, reason="no other host")

    async def knows_another(self, plan: NextHop, avoid: Set[str]) -> bool:
        async with aclosing(self._router.targets(plan)) as targets:
            async for target in targets:
                if isinstance(target, Target) and target.address not in avoid:
                    return True
        return False

    # -- inside

    def _site(self, plan: NextHop) -> Site:
        key = plan.key
        site = self._sites.get(key)
        if site is None:
            _, site = self._resting.pop(key, (0.0, None))
            site = self._sites[key] = site or Site(plan, self, self._scale)
        site.plan = plan
        return site

    async def _hold(self, waiting: Awaitable[T]) -> T | Throttled:
        """Waits, and is turned away when others need the room and this has taken long."""
        with anyio.CancelScope() as scope:
            self._held[scope] = time.monotonic()
            if self._stopping:
                scope.cancel()
            try:
                return await waiting
            finally:
                del self._held[scope]
        return Throttled(0.0 if self._stopping else HELD_SECONDS * self._scale)

    async def _reap(self) -> None:
        while True:
            await anyio.sleep(REAP_SECONDS * self._scale)
            now = time.monotonic()
            self._make_way(now - HELD_SECONDS * self._scale)
            self._slots.let_go(now - STALLED_SECONDS * self._scale)
            self._end_idle(now - IDLE_SECONDS * self._scale)
            self._rest(now)

    def _end_idle(self, before: float) -> None:
        """Those idle too long, and those idle longest where there are too many: a mailing to ten thousand domains does
        not end at the limit of open files."""
        idle = sorted(since for site in self._sites.values() for since in site.idle_since())
        if len(idle) > self._max_idle:
            before = max(before, idle[-self._max_idle - 1])
        for site in self._sites.values():
            site.reap(before)

    def _rest(self, now: float) -> None:
        """Destinations that nothing is going on with are put aside, and forgotten in time."""
        for key in [key for key, site in self._sites.items() if site.unused]:
            self._resting[key] = now, self._sites.pop(key)
        while self._resting:
            key, (since, _) = next(iter(self._resting.items()))
            if now - since <= SITE_SECONDS and len(self._resting) <= MAX_RESTING:
                return
            del self._resting[key]

    def _make_way(self, before: float) -> None:
        """When many wait, those whose DNS or destination hangs leave the room to those that move."""
        if len(self._held) + sum(site.waiting for site in self._sites.values()) <= self._max_held // 2:
            return
        for scope, since in self._held.items():
            if since <= before:
                scope.cancel()
        for site in self._sites.values():
            site.turn_away(before, HELD_SECONDS * self._scale)

    async def _send(self, site: Site, mail: Mail, session: Session) -> Verdict | Throttled:
        """The mail over `session`, and where that fails in a way another host may mend, over one to another host."""
        tried: set[str] = set()
        verdict: Deferred | Refused | None = None
        worst: Failure | None = None
        while True:
            peer = session.peer
            if missing := unable(mail, session.extensions):
                site.give_back(session)
                return classify(missing, peer.host, peer.tls)
            transaction = await self._transact(site, mail, session)
            if isinstance(transaction, Throttled):
                return verdict or transaction
            if transaction.accepted is not None:
                return Delivered(transaction.accepted.parsed(), peer.host, peer.tls)
            failure = transaction.failure
            assert failure is not None, "a transaction ends accepted or failed"  # noqa: S101  # for the type checker
            if not transaction.stale:
                tried.add(peer.address)
                if worst is None or worse(worst, failure) is failure:
                    worst, verdict = failure, classify(failure, peer.host, peer.tls)
                if len(tried) == MAX_SPOKEN_TO or not asks_another_host(failure):
                    site.give_back(session)
                    return verdict or classify(failure, peer.host, peer.tls)
            opened = await self._hold(site.another_host(session, tried))
            if not isinstance(opened, Session):
                return verdict or (opened if isinstance(opened, Throttled) else classify(opened, peer.host))
            session = opened

    async def _transact(self, site: Site, mail: Mail, session: Session) -> Transaction | Throttled:
        claim = Claim.PROVEN if site.proven else Claim.FIRST if site.in_flight == 1 else Claim.FURTHER
        place: Place | Throttled | None = self._slots.take_now(claim)
        if place is None:
            place = await self._hold(self._slots.take(claim))
        if isinstance(place, Throttled):
            site.give_back(session)
            return place
        try:
            transaction = await session.send(mail)
        finally:
            self._slots.free(place)
        if transaction.accepted is not None:
            site.went_well(transaction.accepted, time.monotonic() - place.since)
            site.give_back(session)
        elif transaction.failure is not None and not transaction.stale:
            site.went_badly(transaction.failure)
        return transaction


async def _run(job: Coroutine[Any, Any, None]) -> None:
    await job
