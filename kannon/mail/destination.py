"""The state of a destination (the mail servers of one MX set) in one sender."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Destination:
    """`waiting` and `in_flight` count mails in this sender's memory; `connections` are open, `limit` is the current
    maximum. `last` describes the last verdict, `failure` the last verdict other than delivered; `next_probe_in`
    (seconds) is None unless the destination is down. `policy` is what TLS has to prove, `tls` that of the last
    connection (empty: clear text)."""

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

    @property
    def busy(self) -> int:
        return self.waiting + self.in_flight


@dataclass(frozen=True, slots=True)
class SenderView:
    """The busiest destinations of one sender, as many as fit into a reply; `total` counts all of them."""

    sender: str
    destinations: tuple[Destination, ...]
    total: int
