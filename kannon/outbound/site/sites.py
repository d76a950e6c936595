"""Every destination of this process: the ones in use, and the idle ones whose measurements are kept for a while.

In: next hops. Out: one `Site` for each key, the snapshot for operators, and connections that end when they are idle
for too long or too many: a mailing to ten thousand domains stays below the limit of open files.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from kannon.mail.destination import Destination
from kannon.outbound.client.connect import TransportPolicy
from kannon.outbound.route.routing import NextHop
from kannon.outbound.site.site import Site

_Key = tuple[str, TransportPolicy, bool]

KEEP_IDLE_SECONDS = 600.0
MAX_IDLE_SITES = 10_000


class Sites:
    def __init__(self, make: Callable[[NextHop], Site], max_idle_connections: int) -> None:
        self._make = make
        self._max_idle_connections = max_idle_connections
        self._sites: dict[_Key, Site] = {}  # in use
        self._idle: dict[_Key, tuple[float, Site]] = {}  # the others, in order of the time since when

    def get(self, hop: NextHop) -> Site:
        key = hop.key
        site = self._sites.get(key)
        if site is None:
            _, site = self._idle.pop(key, (0.0, None))
            site = self._sites[key] = site or self._make(hop)
        site.hop = hop
        return site

    @property
    def waiting(self) -> int:
        """Deliveries that wait for a connection."""
        return sum(site.waiting for site in self._sites.values())

    def view(self) -> list[Destination]:
        """The busiest first."""
        found = [site.view() for site in (*self._sites.values(), *(site for _, site in self._idle.values()))]
        return sorted(found, key=lambda each: each.busy, reverse=True)

    def active(self) -> list[Destination]:
        """Those with mail or connections, and with the connections that are being opened."""
        return [replace(site.view(), connections=site.connections.total) for site in self._sites.values()]

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
            self._idle[key] = now, self._sites.pop(key)
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
        self._idle.clear()
        return count
