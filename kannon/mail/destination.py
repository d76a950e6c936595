"""The state of a destination (the mail servers of one MX set) in one sender."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Destination:
    """`waiting` and `in_flight` count mails in this sender's memory; `connections` are open, `limit` is the current
    maximum. `last` describes the last verdict, `failure` the last verdict other than delivered; `next_probe_in`
    (seconds) is None unless the destination is down. `policy` is what TLS has to prove, `tls` that of the last
    connection (empty: clear text). `source`: the addresses that it is sent from (empty: as configured); `warm_up`: what
    such an address has carried to this provider."""

    site: str
    waiting: int
    in_flight: int
    connections: int
    limit: int
    last: str = ""
    failure: str = ""
    next_probe_in: float | None = None
    policy: str = ""
    tls: str = ""
    source: str = ""
    warm_up: str = ""

    @property
    def busy(self) -> int:
        return self.waiting + self.in_flight


@dataclass(frozen=True, slots=True)
class SenderView:
    """The busiest destinations of one sender, as many as fit into a reply; `total` counts all of them."""

    sender: str
    destinations: tuple[Destination, ...]
    total: int
