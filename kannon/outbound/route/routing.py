"""The next hop of a domain: a route, its MX hosts, or the domain itself (RFC 5321 §5.1, RFC 7505).

In: a domain in A-labels. Out: a `NextHop`, or a `NoHop` with the failure. The addresses of the hosts, and their TLSA
records, are looked up when the dialer asks for them, one host after another, and checked there: it connects to the
address that was checked.
"""

import asyncio
import random
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TypeVar

import anyio

from kannon.config import Route, Sender
from kannon.mail.tls_report import TlsResult
from kannon.mail.verdict import Reply, Stage
from kannon.outbound.client.connect import HopTls, Target, TransportPolicy
from kannon.outbound.client.tls import OPPORTUNISTIC, TlsRequirement
from kannon.outbound.route.addresses import LOOP, is_routable, refusal
from kannon.outbound.route.requirement import Requirements, sts_problem, sts_use
from kannon.outbound.route.resolver import Answer, Resolver, Status
from kannon.outbound.site.limits import SiteLimits, limits_of
from kannon.outbound.sts.policies import Policies
from kannon.outbound.trouble import Failure, Kind

T = TypeVar("T")

MAX_ADDRESSES = 5  # for each attempt; RFC 5321 §5.1: at least two
AAAA_SECONDS = 1.0  # when there is an IPv4 address: some name servers never answer for AAAA
ROUTE_SECONDS = 3600.0
MAX_CACHED = 50_000

NO_DOMAIN = Reply(550, "the domain does not exist", "5.1.2")
NULL_MX = Reply(556, "the domain accepts no mail (null MX)", "5.1.10")  # RFC 7505 §4.1
NO_ROUTE = Reply(550, "the domain has neither MX nor address records", "5.4.4")


@dataclass(frozen=True, slots=True)
class NextHop:
    """`site` names the destination and is equal for all domains with the same MX set. `groups`: hosts of equal
    preference. `names`: of the domain, for DANE; empty: a route. `problem`: with its policy, for TLS-RPT. `sources`:
    the addresses to connect from; empty: as configured."""

    site: str
    groups: tuple[tuple[str, ...], ...]
    policy: TransportPolicy
    public_only: bool
    limits: SiteLimits
    expires: float
    names: tuple[str, ...] = ()
    problem: TlsResult | None = None
    sources: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, TransportPolicy, bool, tuple[str, ...]]:
        """Equal when connections may be shared. A route to the same host may have another policy."""
        return self.site, self.policy, self.public_only, self.sources


@dataclass(frozen=True, slots=True)
class NoHop:
    failure: Failure
    expires: float


class Router:
    """Next hops by domain, cached as long as the DNS answers behind them."""

    def __init__(self, sender: Sender, resolver: Resolver, policies: Policies) -> None:
        self._sender = sender
        self._policies = policies
        self._requirements = Requirements(resolver)
        self._hostname = sender.hostname.lower()
        self._resolver = resolver
        self._hops: dict[str, NextHop | NoHop] = {}

    def cached(self, domain: str) -> NextHop | NoHop | None:
        hop = self._hops.get(domain)
        return hop if hop is not None and hop.expires > time.monotonic() else None

    async def route(self, domain: str) -> NextHop | NoHop:
        """Raises Unavailable, when the store of MTA-STS policies is."""
        hop = self._by_route(domain) or await self._by_mx(domain)
        if len(self._hops) >= MAX_CACHED:
            self._hops.clear()  # the resolver still has the answers: a new hop costs no query
        self._hops[domain] = hop
        return hop

    def _by_route(self, domain: str) -> NextHop | None:
        route = best_route(domain, self._sender.routes)
        if route is None:
            return None
        policy = TransportPolicy(route.port, route.tls, route.username, route.password.get_secret_value())
        host = route.host.lower().rstrip(".").removeprefix("[").removesuffix("]")
        return NextHop(
            site=f"{host}:{route.port}" + (f" as {route.username}" if route.username else ""),
            groups=((host,),),
            policy=policy,
            public_only=False,
            limits=limits_of([host], self._sender),
            expires=time.monotonic() + ROUTE_SECONDS,
        )

    async def _by_mx(self, domain: str) -> NextHop | NoHop:
        override = best_pattern(domain, [(each.domain, each) for each in self._sender.tls_policy])
        tls: HopTls = override.tls if override is not None else "auto"
        if tls == "auto":
            self._policies.prepare(domain)
        mx = await self._resolver.lookup(domain, "MX")
        if mx.status is Status.NO_NAME:
            return _fact(NO_DOMAIN, mx)
        if mx.status is Status.FAILED:
            return _failed(mx)
        if mx.status is Status.NO_DATA:
            return await self._by_address(domain, mx, tls)
        records = [(preference, host) for preference, host in mx.records if host]
        if not records:
            return _fact(NULL_MX, mx)
        records = self._preferred_to_us(records)
        if not records:
            return _fact(LOOP, mx)
        return await self._public_hop(domain, records, mx, tls)

    async def _by_address(self, domain: str, mx: Answer, tls: HopTls) -> NextHop | NoHop:
        """RFC 5321 §5.1: a domain without MX records is its own exchanger, with preference 0."""
        for kind in ("A", "AAAA"):
            answer = await self._resolver.lookup(domain, kind)
            if answer.status is Status.FAILED:
                return _failed(answer)
            if answer.status is Status.FOUND:
                if domain == self._hostname:
                    return _fact(LOOP, mx)
                return await self._public_hop(
                    domain, [(0, domain)], replace(mx, expires=min(mx.expires, answer.expires)), tls
                )
        return _fact(NO_ROUTE, mx)

    def _preferred_to_us(self, records: list[tuple[int, str]]) -> list[tuple[int, str]]:
        # RFC 5321 §5.1: when this host is one of the exchangers, only hosts with a better preference are tried.
        ours = min((preference for preference, host in records if host == self._hostname), default=None)
        return records if ours is None else [each for each in records if each[0] < ours]

    async def _public_hop(self, domain: str, records: list[tuple[int, str]], mx: Answer, tls: HopTls) -> NextHop:
        records = sorted(set(records))
        preferences = sorted({preference for preference, _ in records})
        groups = tuple(tuple(host for p, host in records if p == preference) for preference in preferences)
        hosts = [host for _, host in records]
        policy = TransportPolicy(self._sender.port, tls, dane=mx.secure and tls in ("auto", "dane"))
        expires, problem = mx.expires, None
        if tls == "auto":
            found = await self._policies.find(domain)
            expires = min(expires, found.expires)
            policy = replace(policy, sts=sts_use(found.policy, domain, hosts))
            problem = sts_problem(found, domain)
        return NextHop(
            site=" ".join(sorted(hosts)) + f":{self._sender.port}",
            groups=groups,
            policy=policy,
            public_only=not self._sender.allow_private_mx,
            limits=limits_of(hosts, self._sender),
            expires=expires,
            names=tuple(dict.fromkeys((domain, mx.name or domain))),
            problem=problem,
        )

    async def targets(self, hop: NextHop) -> AsyncGenerator[Target | Failure, None]:
        """At most MAX_ADDRESSES addresses in the order of trying, and a failure for each host without one."""
        left = MAX_ADDRESSES
        for rank, group in enumerate(hop.groups):
            # RFC 5321 §5.1: hosts of equal preference are tried in random order.
            for host in random.sample(group, len(group)):
                addresses, failure, answers = await self._addresses(host, named_by_route=not hop.public_only)
                tls: TlsRequirement | Failure = OPPORTUNISTIC
                if addresses:
                    tls = await self._requirements.find(hop.policy, host, hop.names, answers)
                    failure = tls if isinstance(tls, Failure) else None
                if failure is not None or isinstance(tls, Failure):
                    if failure is not None:
                        yield failure
                    continue
                for address in addresses[:left]:
                    refused = refusal(address) if hop.public_only else None
                    if refused is None:
                        left -= 1
                        yield Target(host, address, preferred=rank == 0, tls=tls)
                        continue
                    yield Failure(Kind.FACT, Stage.DNS, refused, f"{host} is {address}", host)
                    if refused is LOOP:
                        return
                if left == 0:
                    return

    async def _addresses(self, host: str, *, named_by_route: bool) -> tuple[list[str], Failure | None, list[Answer]]:
        """IPv4 first: most receivers know more about the reputation of IPv4 addresses."""
        if literal := _literal(host):
            return [literal], None, []
        self._resolver.prepare(host, "AAAA")
        answers = [await self._resolver.lookup(host, "A")]
        enough = any(is_routable(address) for _, address in answers[0].records)
        with anyio.move_on_after(AAAA_SECONDS if enough else None):
            answers.append(await self._resolver.lookup(host, "AAAA"))
        addresses = [address for answer in answers for _, address in answer.records]
        if not addresses and named_by_route:
            addresses = await _from_system(host)
        if addresses:
            return [each for each in addresses if is_routable(each)] or addresses, None, answers
        reason = next((answer.reason for answer in answers if answer.reason), f"{host} has no address")
        return [], Failure(Kind.LOOKUP, Stage.DNS, reason=reason, host=host), answers


def best_route(domain: str, routes: list[Route]) -> Route | None:
    return best_pattern(domain, [(route.domain, route) for route in routes])


def best_pattern(domain: str, patterns: Sequence[tuple[str, T]]) -> T | None:
    """`example.com` before `*.example.com` (or `.example.com`, its subdomains) before `*`; a longer pattern
    before a shorter one."""
    best: tuple[int, T] | None = None
    for text, value in patterns:
        pattern = text.lower().rstrip(".")
        suffix = pattern.removeprefix("*")
        if pattern == "*":
            rank = 0
        elif pattern == domain:
            rank = 1000
        elif suffix.startswith(".") and domain.endswith(suffix):
            rank = len(suffix)
        else:
            continue
        if best is None or rank > best[0]:
            best = (rank, value)
    return best[1] if best else None


def _fact(reply: Reply, answer: Answer) -> NoHop:
    return NoHop(Failure(Kind.FACT, Stage.DNS, reply), answer.expires)


def _failed(answer: Answer) -> NoHop:
    return NoHop(Failure(Kind.LOOKUP, Stage.DNS, reason=answer.reason), answer.expires)


def _literal(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return ""


async def _from_system(host: str) -> list[str]:
    """/etc/hosts and the system's other sources: the operator chose a route's host."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(info[4][0]) for info in found]
