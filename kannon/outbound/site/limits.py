"""The configured limits of a destination, by the suffix of its MX hosts' names.

In: `[[sender.limits]]` and `per_destination` from the configuration, and a site's hosts. Out: one `SiteLimits`. The
operator's entries win over the table of providers, a longer suffix over a shorter one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kannon.config import Sender

MAILS_PER_CONNECTION = 100


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """`rate_per_second` 0: no rate limit."""

    connections: int
    mails_per_connection: int = MAILS_PER_CONNECTION
    rate_per_second: float = 0.0


# Cautious starting points, below what these providers' postmaster pages and 421s are known to allow a sender of average
# reputation. [[sender.limits]] raises them for a busy sender with a good reputation.
PROVIDERS = {
    "google.com": SiteLimits(20, 100),
    "googlemail.com": SiteLimits(20, 100),
    "outlook.com": SiteLimits(10, 100),
    "yahoodns.net": SiteLimits(5, 20),
    "icloud.com": SiteLimits(5, 50),
    "mail.ru": SiteLimits(5, 50),
    "yandex.ru": SiteLimits(5, 50),
    "gmx.net": SiteLimits(5, 50),
    "web.de": SiteLimits(5, 50),
    "t-online.de": SiteLimits(3, 50),
    "orange.fr": SiteLimits(2, 50, 5.0),
    "laposte.net": SiteLimits(2, 50, 5.0),
    "free.fr": SiteLimits(3, 50),
    "comcast.net": SiteLimits(5, 50),
    "qq.com": SiteLimits(3, 20, 5.0),
    "163.com": SiteLimits(3, 20, 5.0),
}


def limits_of(hosts: Iterable[str], sender: Sender) -> SiteLimits:
    """For a site with these MX hosts, or for a route's host."""
    names = [host.lower() for host in hosts]
    configured = {
        limit.mx.lower().strip("."): SiteLimits(limit.connections, limit.mails_per_connection, limit.rate_per_second)
        for limit in sender.limits
    }
    if found := _longest(names, configured):
        return found
    if found := _longest(names, PROVIDERS):
        connections = min(found.connections, sender.per_destination)
        return SiteLimits(connections, found.mails_per_connection, found.rate_per_second)
    return SiteLimits(sender.per_destination)


def _longest(names: list[str], table: dict[str, SiteLimits]) -> SiteLimits | None:
    for suffix in sorted(table, key=len, reverse=True):
        if any(name == suffix or name.endswith("." + suffix) for name in names):
            return table[suffix]
    return None
