"""Where a domain's mail goes: a route, its MX hosts, or itself (RFC 5321 §5.1, RFC 7505).

In: a domain in A-labels. Out: a `NextHop`, or the `Failure` that DNS states. The addresses behind a plan's hosts are
looked up when they are dialled, one host after another, and checked there: what is dialled is what was checked.
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

MAX_ADDRESSES = 5  # a try; RFC 5321 §5.1 wants at least two
AAAA_SECONDS = 1.0  # longer is not waited where there is an IPv4 address: some name servers never answer for AAAA
ROUTE_SECONDS = 3600.0
MAX_PLANS = 50_000

NO_DOMAIN = Reply(550, "the domain does not exist", "5.1.2")
NULL_MX = Reply(556, "the domain accepts no mail (null MX)", "5.1.10")  # RFC 7505 §4.1
NO_ROUTE = Reply(550, "the domain has neither MX nor address records", "5.4.4")


@dataclass(frozen=True, slots=True)
class NextHop:
    """`site` names the destination, alike for all domains with the same MX set. `groups`: hosts of equal preference."""

    site: str
    groups: tuple[tuple[str, ...], ...]
    access: TransportPolicy
    public_only: bool
    limits: SiteLimits
    expires: float

    @property
    def key(self) -> tuple[str, TransportPolicy, bool]:
        """Equal where connections may be shared: a route may lead, encrypted or inside, to what others reach by MX."""
        return self.site, self.access, self.public_only


@dataclass(frozen=True, slots=True)
class NoHop:
    failure: Failure
    expires: float


class Router:
    """Plans per domain, kept as long as the answers they are made of."""

    def __init__(self, sender: Sender, resolver: Resolver) -> None:
        self._sender = sender
        self._hostname = sender.hostname.lower()
        self._resolver = resolver
        self._plans: dict[str, NextHop | NoHop] = {}

    def known(self, domain: str) -> NextHop | NoHop | None:
        plan = self._plans.get(domain)
        return plan if plan is not None and plan.expires > time.monotonic() else None

    async def plan(self, domain: str) -> NextHop | NoHop:
        plan = self._by_route(domain) or await self._by_mx(domain)
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()  # the answers below are still there: a new plan costs no query
        self._plans[domain] = plan
        return plan

    def _by_route(self, domain: str) -> NextHop | None:
        route = best_route(domain, self._sender.routes)
        if route is None:
            return None
        access = TransportPolicy(route.port, route.tls, route.username, route.password.get_secret_value())
        host = route.host.lower().rstrip(".").removeprefix("[").removesuffix("]")
        return NextHop(
            site=f"{host}:{route.port}" + (f" as {route.username}" if route.username else ""),
            groups=((host,),),
            access=access,
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
        records = self._before_us(records)
        if not records:
            return _fact(LOOP, mx)
        return self._public_plan(records, mx.expires)

    async def _by_address(self, domain: str, mx: Answer) -> NextHop | NoHop:
        """RFC 5321 §5.1: without MX records the domain itself is its exchanger, with preference 0."""
        for kind in ("A", "AAAA"):
            answer = await self._resolver.lookup(domain, kind)
            if answer.status is Status.FAILED:
                return _failed(answer)
            if answer.status is Status.FOUND:
                if domain == self._hostname:
                    return _fact(LOOP, mx)
                return self._public_plan([(0, domain)], min(mx.expires, answer.expires))
        return _fact(NO_ROUTE, mx)

    def _before_us(self, records: list[tuple[int, str]]) -> list[tuple[int, str]]:
        # RFC 5321 §5.1: where we are one of the exchangers, only those preferred to us are asked.
        ours = min((preference for preference, host in records if host == self._hostname), default=None)
        return records if ours is None else [each for each in records if each[0] < ours]

    def _public_plan(self, records: list[tuple[int, str]], expires: float) -> NextHop:
        records = sorted(set(records))
        preferences = sorted({preference for preference, _ in records})
        groups = tuple(tuple(host for p, host in records if p == preference) for preference in preferences)
        hosts = [host for _, host in records]
        return NextHop(
            site=" ".join(sorted(hosts)) + f":{self._sender.port}",
            groups=groups,
            access=TransportPolicy(self._sender.port),
            public_only=not self._sender.allow_private_mx,
            limits=limits_of(hosts, self._sender),
            expires=expires,
        )

    async def targets(self, plan: NextHop) -> AsyncGenerator[Target | Failure, None]:
        """At most MAX_ADDRESSES addresses in the order they are to be asked, and why a host has none."""
        left = MAX_ADDRESSES
        for rank, group in enumerate(plan.groups):
            # RFC 5321 §5.1: hosts of equal preference are asked in random order.
            for host in random.sample(group, len(group)):
                addresses, failure = await self._addresses(host, named_by_route=not plan.public_only)
                if failure is not None:
                    yield failure
                for address in addresses[:left]:
                    refused = refusal(address) if plan.public_only else None
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
        """IPv4 first: its reputation is the better known one at most receivers."""
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
    """`example.com` before `*.example.com` (or `.example.com`, its subdomains) before `*`; the longer before the
    shorter."""
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
    """/etc/hosts and what else the system knows: a route's host is the operator's word, not the world's."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(info[4][0]) for info in found]
