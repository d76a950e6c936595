"""How a destination (the mail servers of one MX set) is doing, as the sender that talks to it sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Destination:
    """`waiting` and `in_flight` are mails in this sender's memory; `connections` there are, `limit` there may be now.
    `last` is its last verdict in words, `failure` its last one that was no delivery, whenever that was;
    `next_probe_in` seconds is None unless it is down."""

    site: str
    waiting: int
    in_flight: int
    connections: int
    limit: int
    last: str = ""
    failure: str = ""
    next_probe_in: float | None = None

    @property
    def busy(self) -> int:
        return self.waiting + self.in_flight


@dataclass(frozen=True, slots=True)
class SenderView:
    """One sender's destinations, the busiest first and no more than fit in an answer; `total` counts all of them."""

    sender: str
    destinations: tuple[Destination, ...]
    total: int
