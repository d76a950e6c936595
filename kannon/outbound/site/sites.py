"""Every destination of this process: the ones in use, and the idle ones whose measurements are kept for a while.

In: next hops. Out: one `Site` for each key, the snapshot for operators, and connections that end when they are idle
for too long or too many: a mailing to ten thousand domains stays below the limit of open files. Domains whose mail goes
to the same servers under different TLS policies have a site for each policy, and a source address that warms up has one
of its own; such siblings share one limit.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from kannon.mail.destination import Destination
from kannon.outbound.client.connect import TransportPolicy
from kannon.outbound.route.routing import NextHop
from kannon.outbound.shares import Share, divide_further
from kannon.outbound.site.site import Site

_Key = tuple[str, TransportPolicy, bool, tuple[str, ...]]

KEEP_IDLE_SECONDS = 600.0
MAX_IDLE_SITES = 10_000


class Sites:
    def __init__(self, make: Callable[[NextHop], Site], max_idle_connections: int) -> None:
        self._make = make
        self._max_idle_connections = max_idle_connections
        self._sites: dict[_Key, Site] = {}  # in use
        self._by_name: dict[str, list[Site]] = {}  # in use, by the servers' names
        self._idle: dict[_Key, tuple[float, Site]] = {}  # the others, in order of the time since when

    def get(self, hop: NextHop) -> Site:
        key = hop.key
        site = self._sites.get(key)
        if site is None:
            _, site = self._idle.pop(key, (0.0, None))
            site = self._sites[key] = site or self._make(hop)
            self._by_name.setdefault(hop.site, []).append(site)
        site.hop = hop
        return site

    def share(self, site: Site, whole: Share) -> Share:
        """Of this sender's share of the limits, the part of one of the siblings."""
        siblings = self._by_name.get(site.hop.site, ())
        if len(siblings) < 2:
            return whole
        reports = {id(each): _load(each) for each in siblings}
        reports.setdefault(id(site), _load(site))
        return divide_further(whole, id(site), reports, site.hop.limits.connections)

    def balance(self) -> None:
        """Siblings give up connections that others of them wait for."""
        for siblings in self._by_name.values():
            if len(siblings) > 1:
                for site in siblings:
                    site.on_share()

    @property
    def waiting(self) -> int:
        """Deliveries that wait for a connection."""
        return sum(site.waiting for site in self._sites.values())

    def view(self) -> list[Destination]:
        """The busiest first."""
        return [view for view, _ in self.views()]

    def views(self) -> list[tuple[Destination, NextHop]]:
        """With the next hop of each."""
        sites = (*self._sites.values(), *(site for _, site in self._idle.values()))
        return sorted(((site.view(), site.hop) for site in sites), key=lambda each: each[0].busy, reverse=True)

    def active(self) -> list[Destination]:
        """Those with mail or connections, and with the connections that are being opened; siblings as one."""
        merged: dict[str, Destination] = {}
        for site in self._sites.values():
            each = replace(site.view(), connections=site.connections.total)
            if (other := merged.get(each.site)) is not None:
                each = replace(
                    each,
                    waiting=each.waiting + other.waiting,
                    in_flight=each.in_flight + other.in_flight,
                    connections=each.connections + other.connections,
                )
            merged[each.site] = each
        return list(merged.values())

    def cancel_waiters(self, before: float, retry_in: float) -> None:
        """Those that have waited since `before` or longer."""
        for site in self._sites.values():
            site.cancel_waiters(before, retry_in)

    def on_shares(self) -> None:
        for site in self._sites.values():
            site.on_share()

    def close_idle_connections(self, before: float) -> None:
        """Those idle since `before` or longer, and the ones idle longest beyond the maximum."""
        idle = sorted(since for site in self._sites.values() for since in site.connections.idle_since())
        if len(idle) > self._max_idle_connections:
            before = max(before, idle[-self._max_idle_connections - 1])
        for site in self._sites.values():
            site.connections.close_idle(before)

    def retire(self, now: float) -> None:
        """Sites without connections and mail become idle; idle ones are dropped when they are old or too many."""
        for key in [key for key, site in self._sites.items() if site.unused]:
            site = self._sites.pop(key)
            self._idle[key] = now, site
            siblings = self._by_name[site.hop.site]
            siblings.remove(site)
            if not siblings:
                del self._by_name[site.hop.site]
        while self._idle:
            key, (since, _) = next(iter(self._idle.items()))
            if now - since <= KEEP_IDLE_SECONDS and len(self._idle) <= MAX_IDLE_SITES:
                return
            del self._idle[key]

    async def close(self) -> None:
        """QUIT on every connection. Returns when they have ended."""
        pending = [closed for site in self._sites.values() for closed in site.connections.close()]
        if pending:
            await asyncio.wait(pending)

    def abort(self) -> int:
        """Drops all sites, and the connections that QUIT did not end; how many of those."""
        count = sum(site.abort() for site in self._sites.values())
        self._sites.clear()
        self._by_name.clear()
        self._idle.clear()
        return count


def _load(site: Site) -> Destination:
    """As `view`, without the limit, which depends on the siblings' loads."""
    return Destination(site.hop.site, site.waiting, site.in_flight, site.connections.total, 0)
