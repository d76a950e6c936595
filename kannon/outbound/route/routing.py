"""The next hop of a domain: a route, its MX hosts, or the domain itself (RFC 5321 §5.1, RFC 7505).

In: a domain in A-labels. Out: a `NextHop`, or a `NoHop` with the failure. The addresses of the hosts are looked up when
the dialer asks for them, one host after another, and checked there: it connects to the address that was checked.
"""

import asyncio
import random
import socket
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from ipaddress import ip_address

import anyio

from kannon.config import Route, Sender
from kannon.mail.verdict import Reply, Stage
from kannon.outbound.client.connect import Target, TransportPolicy
from kannon.outbound.route.addresses import LOOP, is_routable, refusal
from kannon.outbound.route.resolver import Answer, Resolver, Status
from kannon.outbound.site.limits import SiteLimits, limits_of
from kannon.outbound.trouble import Failure, Kind

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
    preference."""

    site: str
    groups: tuple[tuple[str, ...], ...]
    policy: TransportPolicy
    public_only: bool
    limits: SiteLimits
    expires: float

    @property
    def key(self) -> tuple[str, TransportPolicy, bool]:
        """Equal when connections may be shared. A route to the same host may have another policy."""
        return self.site, self.policy, self.public_only


@dataclass(frozen=True, slots=True)
class NoHop:
    failure: Failure
    expires: float


class Router:
    """Next hops by domain, cached as long as the DNS answers behind them."""

    def __init__(self, sender: Sender, resolver: Resolver) -> None:
        self._sender = sender
        self._hostname = sender.hostname.lower()
        self._resolver = resolver
        self._hops: dict[str, NextHop | NoHop] = {}

    def cached(self, domain: str) -> NextHop | NoHop | None:
        hop = self._hops.get(domain)
        return hop if hop is not None and hop.expires > time.monotonic() else None

    async def route(self, domain: str) -> NextHop | NoHop:
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
        mx = await self._resolver.lookup(domain, "MX")
        if mx.status is Status.NO_NAME:
            return _fact(NO_DOMAIN, mx)
        if mx.status is Status.FAILED:
            return _failed(mx)
        if mx.status is Status.NO_DATA:
            return await self._by_address(domain, mx)
        records = [(preference, host) for preference, host in mx.records if host]
        if not records:
            return _fact(NULL_MX, mx)
        records = self._preferred_to_us(records)
        if not records:
            return _fact(LOOP, mx)
        return self._public_hop(records, mx.expires)

    async def _by_address(self, domain: str, mx: Answer) -> NextHop | NoHop:
        """RFC 5321 §5.1: a domain without MX records is its own exchanger, with preference 0."""
        for kind in ("A", "AAAA"):
            answer = await self._resolver.lookup(domain, kind)
            if answer.status is Status.FAILED:
                return _failed(answer)
            if answer.status is Status.FOUND:
                if domain == self._hostname:
                    return _fact(LOOP, mx)
                return self._public_hop([(0, domain)], min(mx.expires, answer.expires))
        return _fact(NO_ROUTE, mx)

    def _preferred_to_us(self, records: list[tuple[int, str]]) -> list[tuple[int, str]]:
        # RFC 5321 §5.1: when this host is one of the exchangers, only hosts with a better preference are tried.
        ours = min((preference for preference, host in records if host == self._hostname), default=None)
        return records if ours is None else [each for each in records if each[0] < ours]

    def _public_hop(self, records: list[tuple[int, str]], expires: float) -> NextHop:
        records = sorted(set(records))
        preferences = sorted({preference for preference, _ in records})
        groups = tuple(tuple(host for p, host in records if p == preference) for preference in preferences)
        hosts = [host for _, host in records]
        return NextHop(
            site=" ".join(sorted(hosts)) + f":{self._sender.port}",
            groups=groups,
            policy=TransportPolicy(self._sender.port),
            public_only=not self._sender.allow_private_mx,
            limits=limits_of(hosts, self._sender),
            expires=expires,
        )

    async def targets(self, hop: NextHop) -> AsyncGenerator[Target | Failure, None]:
        """At most MAX_ADDRESSES addresses in the order of trying, and a failure for each host without one."""
        left = MAX_ADDRESSES
        for rank, group in enumerate(hop.groups):
            # RFC 5321 §5.1: hosts of equal preference are tried in random order.
            for host in random.sample(group, len(group)):
                addresses, failure = await self._addresses(host, named_by_route=not hop.public_only)
                if failure is not None:
                    yield failure
                for address in addresses[:left]:
                    refused = refusal(address) if hop.public_only else None
                    if refused is None:
                        left -= 1
                        yield Target(host, address, preferred=rank == 0)
                        continue
                    yield Failure(Kind.FACT, Stage.DNS, refused, f"{host} is {address}", host)
                    if refused is LOOP:
                        return
                if left == 0:
                    return

    async def _addresses(self, host: str, *, named_by_route: bool) -> tuple[list[str], Failure | None]:
        """IPv4 first: most receivers know more about the reputation of IPv4 addresses."""
        if literal := _literal(host):
            return [literal], None
        self._resolver.prepare(host, "AAAA")
        answers = [await self._resolver.lookup(host, "A")]
        enough = any(is_routable(address) for _, address in answers[0].records)
        with anyio.move_on_after(AAAA_SECONDS if enough else None):
            answers.append(await self._resolver.lookup(host, "AAAA"))
        addresses = [address for answer in answers for _, address in answer.records]
        if not addresses and named_by_route:
            addresses = await _from_system(host)
        if addresses:
            return [each for each in addresses if is_routable(each)] or addresses, None
        reason = next((answer.reason for answer in answers if answer.reason), f"{host} has no address")
        return [], Failure(Kind.LOOKUP, Stage.DNS, reason=reason, host=host)


def best_route(domain: str, routes: list[Route]) -> Route | None:
    """`example.com` before `*.example.com` (or `.example.com`, its subdomains) before `*`; a longer pattern
    before a shorter one."""
    best: tuple[int, Route] | None = None
    for route in routes:
        pattern = route.domain.lower().rstrip(".")
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
            best = (rank, route)
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
