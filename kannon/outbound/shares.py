"""How much of a destination's limits this process may use, while other senders deliver to the same destination.

In: the report of each sender twice a second, this one's own too, as the bus delivers it. Out: for each destination the
connections and the part of the rate limit that this sender has. No I/O; the owner passes the time in.

Every sender computes the same shares from the same reports: the smallest needs are met first, and the rest is divided
equally. A smaller share holds at once. A larger one waits until the others' connections have ended, and senders that
grow at the same time divide the free ones; all together never exceed the limit. A sender opens one connection to a
destination that it has not reported yet.

A sender that is cut off from NATS hears nothing, not even itself, and keeps its last shares. The others forget it.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from kannon.mail.destination import Destination, SenderView

K = TypeVar("K", bound=Hashable)

REPORT_SECONDS: Final = 0.5
FORGET_SECONDS: Final = 3.0  # six lost reports
MAX_REPORTED: Final = 5_000
"""Destinations in a report: about 250 kB, below NATS's 1 MB for a message."""


@dataclass(frozen=True, slots=True)
class Share:
    """`rate`: the part of the destination's rate limit, 0 to 1. `connections` None: no other sender is there."""

    connections: int | None = None
    rate: float = 1.0


ALONE: Final = Share()
UNREPORTED: Final = Share(connections=1, rate=0.0)


class Shares:
    """`own`: this sender's name. Until the first report of another sender it is alone, with all limits to itself."""

    def __init__(self, own: str) -> None:
        self.own = own
        self._heard: dict[str, float] = {}
        self._reports: dict[str, Mapping[str, Destination]] = {}
        self._cache: dict[str, Share] = {}
        self.alone = True

    def hear(self, view: SenderView, now: float) -> None:
        """A report of a sender, of this one too."""
        self._heard[view.sender] = now
        self._reports[view.sender] = {each.site: each for each in view.destinations}
        if view.sender == self.own:
            for sender in [name for name, at in self._heard.items() if now - at > FORGET_SECONDS]:
                del self._heard[sender], self._reports[sender]
        self.alone = self._reports.keys() <= {self.own}
        self._cache.clear()

    def share(self, site: str, limit: int) -> Share:
        """`limit`: the connections that the destination allows all senders together."""
        if self.alone:
            return ALONE
        if site not in self._cache:
            self._cache[site] = self._compute(site, limit)
        return self._cache[site]

    def _compute(self, site: str, limit: int) -> Share:
        reports = {name: report[site] for name, report in self._reports.items() if site in report}
        if self.own not in reports:
            return UNREPORTED if reports else Share(connections=1, rate=1.0 / len(self._reports))
        return share_of(self.own, reports, limit)


def share_of(own: K, reports: Mapping[K, Destination], limit: int) -> Share:
    """The part of `own`, which is one of `reports`: of the senders, or of the TLS policies of one sender."""
    names = {str(name): name for name in reports}
    shares = divide(limit, {text: reports[name].busy for text, name in names.items()})
    free = limit - sum(each.connections for each in reports.values())
    growing = [t for t, name in names.items() if min(reports[name].busy, shares[t]) > reports[name].connections]
    text, connections = str(own), reports[own].connections
    allowed = connections + max(0, free) // max(1, len(growing)) if text in growing else connections
    return Share(max(1, min(shares[text], allowed)), shares[text] / max(1, sum(shares.values())))


def divide_further(whole: Share, own: K, reports: Mapping[K, Destination], limit: int) -> Share:
    """Of this sender's share, the part of one of the sites that stand for the same servers."""
    part = share_of(own, reports, limit if whole.connections is None else whole.connections)
    return Share(part.connections, part.rate * whole.rate)


def divide(limit: int, needs: Mapping[str, int]) -> dict[str, int]:
    """Shares that add up to `limit`. The smallest needs are met first; the names decide between equal ones."""
    shares: dict[str, int] = {}
    left = limit
    for place, (name, need) in enumerate(sorted(needs.items(), key=lambda item: (item[1], item[0]))):
        shares[name] = min(need, left // (len(needs) - place))
        left -= shares[name]
    for place, name in enumerate(sorted(needs, key=lambda name: (-needs[name], name))):
        more = -(-left // (len(needs) - place))
        shares[name] += more
        left -= more
    return shares
