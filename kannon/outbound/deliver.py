"""From an envelope to a verdict: the function that callers need, and the owner of everything behind it.

In: an `Envelope`. Out: a `Verdict`, or `Throttled`, which is no attempt. A remote server or the DNS never causes an
exception. `flow.md` shows every limit on the way. Deliveries that wait are bounded too: when too many wait, those that
have waited longest are shed as `Throttled`, so deliveries to servers that hang make room for the others.
"""

import random
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import anyio
import structlog
from anyio.abc import TaskGroup

from kannon.config import Dns, Sender
from kannon.errors import Unavailable
from kannon.hostname import process_name
from kannon.mail.address import canonical_domain, registrable_domain
from kannon.mail.destination import Destination, SenderView
from kannon.mail.envelope import Envelope
from kannon.mail.verdict import NO_REQUIRETLS, Deferred, Delivered, Refused, Reply, Stage, Verdict
from kannon.outbound.client.connect import Connector, TransportPolicy
from kannon.outbound.client.dialogue import Transaction
from kannon.outbound.client.message import Mail, prepare, unsupported, waives_tls
from kannon.outbound.client.session import Session
from kannon.outbound.client.tls import make_contexts
from kannon.outbound.limiter import Limiter, Priority
from kannon.outbound.route.resolver import Resolver
from kannon.outbound.route.routing import NextHop, NoHop, Router
from kannon.outbound.shares import MAX_REPORTED, Share, Shares
from kannon.outbound.site.dialer import Dialer
from kannon.outbound.site.site import Site
from kannon.outbound.site.sites import Sites
from kannon.outbound.sts.fetch import Fetcher
from kannon.outbound.sts.policies import MemoryStore, Policies, PolicyStore
from kannon.outbound.throttled import Throttled
from kannon.outbound.tls_results import TlsResults
from kannon.outbound.trouble import Failure, classify, tries_another_host, worse
from kannon.outbound.warmup import Counter, MemoryCounter, WarmUps

log = structlog.get_logger()

IDLE_CONNECTION_SECONDS = 60.0
MAINTENANCE_SECONDS = 0.25
CLOSE_SECONDS = 3.0
MIN_DNS_SCALE = 0.1  # timeout_scale is for remote servers; the name server is near and keeps a usable time-out
MAX_HOSTS_TRIED = 2  # hosts that a mail's transaction was begun with
SHED_SECONDS = 0.75  # a waiter may be shed after this time, and comes back after the same time
STORE_SECONDS = 2.0  # until mail is tried again that found no store of MTA-STS policies
REFRESH_SECONDS = 3600.0  # between two looks at policies that get old
MAX_TRANSACTION_SECONDS = 3.0  # then the permit of a transaction goes to another mail

BAD_ADDRESS = Reply(550, "the recipient's domain is not a domain name", "5.1.2")


class Deliverer:
    """`async with Deliverer(config.sender, config.dns) as deliverer:`; leaving it sends QUIT to every server.
    `sender.hostname` must be filled in (kannon.hostname)."""

    def __init__(
        self,
        sender: Sender,
        dns: Dns,
        *,
        policies: PolicyStore | None = None,
        tls_results: TlsResults | None = None,
        warm_up_counter: Counter | None = None,
        on_warm_up: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`policies` None: MTA-STS policies are kept in memory only; `warm_up_counter` None: so are the counts of
        warm-ups. `tls_results` None: they are not counted. `on_warm_up`: see kannon.outbound.warmup. `now`: of the days
        of a warm-up."""
        self._tls_results = tls_results
        self._clock = clock
        self._scale = sender.timeout_scale
        self._limiter = Limiter(sender.concurrency, max(2 * sender.concurrency, 100), clock)
        contexts = make_contexts(sender.tls_ca_file)
        connector = Connector(sender.hostname, contexts, self._scale, sender.source_ips)
        self._resolver = Resolver(dns, self._spawn, scale=max(self._scale, MIN_DNS_SCALE))
        public_only = not sender.allow_private_mx
        fetcher = Fetcher(self._resolver, contexts.by_policy, public_only=public_only, scale=self._scale)
        self._policies = Policies(self._resolver, fetcher, policies or MemoryStore(), self._spawn)
        self._router = Router(sender, self._resolver, self._policies)
        self._dialer = Dialer(self._router, connector)
        self._sites = Sites(self._new_site, max_idle_connections=5 * sender.concurrency)
        self._shares = Shares(f"{process_name()}:{secrets.token_hex(4)}")  # containers may share name and pid
        self._warm_ups = WarmUps.of(sender, warm_up_counter or MemoryCounter(), now, on_warm_up)
        self._group: TaskGroup | None = None

    @property
    def capacity(self) -> int:
        """How many calls of `deliver` may run at once."""
        return self._limiter.capacity

    async def __aenter__(self) -> Self:
        self._limiter.stopping = False
        self._group = await anyio.create_task_group().__aenter__()
        self._group.start_soon(self._maintain)
        self._group.start_soon(self._refresh_policies)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        group, self._group = self._group, None
        assert group is not None, "entered"  # noqa: S101  # for the type checker
        self.cancel_waiters()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_SECONDS * self._scale):
            await self._sites.close()
            if self._warm_ups is not None:
                await self._warm_ups.close()
        if aborted := self._sites.abort():
            log.debug("connections aborted: the servers did not answer QUIT in time", count=aborted)
        group.cancel_scope.cancel()
        return await group.__aexit__(kind, error, trace)

    def cancel_waiters(self) -> None:
        """For the stop of the process: every waiting delivery ends as Throttled, transactions go on."""
        self._limiter.cancel_waiters()
        self._sites.cancel_waiters(self._clock(), 0.0)

    async def deliver(self, envelope: Envelope, held: Callable[[], bool] = lambda: True) -> Verdict | Throttled:
        """One attempt. Cancelling closes the connection in use. So does an envelope that is no longer `held` before its
        final dot; the result is Throttled."""
        local, _, domain = envelope.rcpt_to.rpartition("@")
        try:
            domain = canonical_domain(domain)
        except ValueError:
            return Refused(BAD_ADDRESS, Stage.DNS, "")
        hop: NextHop | NoHop | None = self._router.cached(domain)
        if hop is None:
            try:
                hop = await self._limiter.wait(self._router.route(domain))
            except Unavailable as error:
                log.warning("cannot read MTA-STS policies; retrying", domain=domain, why=str(error))
                return Throttled(STORE_SECONDS)
            if self._tls_results is not None and isinstance(hop, NextHop) and hop.problem is not None:
                self._tls_results.add(domain, [hop.problem])
        if hop is None:
            return self._shed()
        if isinstance(hop, NoHop):
            return classify(hop.failure, "")
        if envelope.require_tls:
            hop = replace(hop, policy=replace(hop.policy, require_tls=True))
        elif hop.policy.is_published and waives_tls(envelope.body):
            hop = replace(hop, policy=TransportPolicy(hop.policy.port))
        if self._warm_ups is not None and hop.names:
            verdict = await self._deliver_warming_up(self._warm_ups, hop, envelope, f"{local}@{domain}", held)
        else:
            verdict = await self._deliver(hop, envelope, f"{local}@{domain}", held)
        if envelope.require_tls and isinstance(verdict, Deferred) and verdict.enhanced:
            return replace(verdict, enhanced=NO_REQUIRETLS)
        return verdict

    async def _deliver_warming_up(
        self, warm_ups: WarmUps, hop: NextHop, envelope: Envelope, rcpt_to: str, held: Callable[[], bool]
    ) -> Verdict | Throttled:
        """Over the addresses that the warm-up allows for this mail."""
        choice = await self._limiter.wait(warm_ups.choose(_provider(hop)))
        if choice is None:
            return self._shed()
        if isinstance(choice, Throttled):
            return choice
        verdict = await self._deliver(replace(hop, sources=choice.sources), envelope, rcpt_to, held)
        if isinstance(verdict, Throttled) or not (isinstance(verdict, Delivered) or verdict.reply):
            warm_ups.on_not_sent(choice)  # the provider has not seen it
        return verdict

    async def _deliver(
        self, hop: NextHop, envelope: Envelope, rcpt_to: str, held: Callable[[], bool]
    ) -> Verdict | Throttled:
        site = self._sites.get(hop)
        session: Session | Failure | Throttled | None = site.acquire_now() or site.admit(envelope.domain)
        if session is None:
            session = self._shed() if self._limiter.stopping else await site.acquire(envelope.domain)
        if isinstance(session, Throttled):
            return session
        if isinstance(session, Failure):
            self._count(hop, rcpt_to, session)
            return classify(session, hop.groups[0][0])
        mail = prepare(envelope, rcpt_to, held)
        return await self._send(site, mail, session)

    def destinations(self) -> list[Destination]:
        """A snapshot, the busiest first."""
        warm_ups = self._warm_ups
        if warm_ups is None:
            return self._sites.view()
        return [
            replace(view, warm_up=warm_ups.describe(hop.sources, _provider(hop))) for view, hop in self._sites.views()
        ]

    def report(self) -> SenderView:
        """To all senders: the destinations with mail or connections, the busiest first; none while this sender is
        alone."""
        active = [] if self._shares.alone else sorted(self._sites.active(), key=lambda each: each.busy, reverse=True)
        return SenderView(self._shares.own, tuple(active[:MAX_REPORTED]), len(active))

    def hear(self, view: SenderView) -> None:
        """The report of a sender, of this one too."""
        self._shares.hear(view, self._clock())
        if not self._shares.alone:
            self._sites.on_shares()

    # -- waiting and shedding

    def _shed(self) -> Throttled:
        return Throttled(0.0 if self._limiter.stopping else SHED_SECONDS * self._scale)

    async def _maintain(self) -> None:
        while True:
            await anyio.sleep(MAINTENANCE_SECONDS * self._scale)
            now = self._clock()
            if self._limiter.is_overloaded(self._sites.waiting):
                before = now - SHED_SECONDS * self._scale
                self._limiter.shed(before)
                self._sites.cancel_waiters(before, SHED_SECONDS * self._scale)
            self._limiter.expire(now - MAX_TRANSACTION_SECONDS * self._scale)
            self._sites.close_idle_connections(now - IDLE_CONNECTION_SECONDS * self._scale)
            self._sites.balance()
            self._sites.retire(now)

    async def _refresh_policies(self) -> None:
        while True:
            await anyio.sleep(REFRESH_SECONDS * (0.5 + random.random()))  # noqa: S311  # senders take turns
            try:
                await self._policies.refresh_all()
            except Unavailable as error:
                log.warning("cannot refresh MTA-STS policies; retrying", why=str(error))

    def _new_site(self, hop: NextHop) -> Site:
        return Site(hop, self._dialer, self._spawn, self._scale, self._clock, self._share)

    def _share(self, site: Site) -> Share:
        return self._sites.share(site, self._shares.share(site.hop.site, site.hop.limits.connections))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            job.close()
            raise RuntimeError("the deliverer has not been entered")
        self._group.start_soon(_run, job)

    # -- sending

    async def _send(self, site: Site, mail: Mail, session: Session) -> Verdict | Throttled:
        """Sends over `session`, and after a failure that another host may not have, over a session to another host."""
        tried: set[str] = set()
        verdict: Deferred | Refused | None = None
        worst: Failure | None = None
        while True:
            peer = session.peer
            self._count(site.hop, mail.rcpt_to, session)
            stale = False
            failure = unsupported(mail, session.extensions)
            if failure is None:
                transaction = await self._transact(site, mail, session)
                if transaction is None:
                    return verdict or self._shed()
                if transaction.withdrawn:
                    site.release(session)
                    return Throttled(0.0)
                if transaction.accepted is not None:
                    return Delivered(transaction.accepted.parsed(), peer.host, peer.tls)
                failure, stale = transaction.failure, transaction.stale
            assert failure is not None, "a transaction ends accepted or failed"  # noqa: S101  # for the type checker
            if not stale:
                tried.add(peer.address)
                if worst is None or worse(worst, failure) is failure:
                    worst, verdict = failure, classify(failure, peer.host, peer.tls)
                if len(tried) == MAX_HOSTS_TRIED or not tries_another_host(failure):
                    site.release(session)
                    return verdict or classify(failure, peer.host, peer.tls)
            opened = await self._limiter.wait(site.switch_host(session, tried))
            if isinstance(opened, Failure):
                self._count(site.hop, mail.rcpt_to, opened)
            if not isinstance(opened, Session):
                return verdict or (self._shed() if opened is None else classify(opened, peer.host))
            session = opened

    def _count(self, hop: NextHop, rcpt_to: str, opened: Session | Failure) -> None:
        """The results of TLS, once for each connection and recipients' domain that uses it."""
        if self._tls_results is None or hop.policy.tls != "auto" or not opened.results:
            return
        domain = rcpt_to.rpartition("@")[2]
        if isinstance(opened, Session):
            if domain in opened.counted:
                return
            opened.counted.add(domain)
        self._tls_results.add(domain, opened.results)

    async def _transact(self, site: Site, mail: Mail, session: Session) -> Transaction | None:
        """None: shed while it waited for a permit."""
        priority = Priority.PROVEN if site.proven else Priority.FIRST if site.in_flight == 1 else Priority.FURTHER
        permit = self._limiter.acquire_now(priority) or await self._limiter.acquire(priority)
        if permit is None:
            site.release(session)
            return None
        try:
            transaction = await session.send(mail)
        finally:
            self._limiter.release(permit)
        if transaction.accepted is not None:
            site.on_success(transaction.accepted, self._clock() - permit.since)
            site.release(session)
        elif transaction.failure is not None and not transaction.stale:
            site.on_failure(transaction.failure)
        return transaction


def _provider(hop: NextHop) -> str:
    return registrable_domain(hop.groups[0][0])


async def _run(job: Coroutine[Any, Any, None]) -> None:
    await job
