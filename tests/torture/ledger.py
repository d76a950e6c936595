"""The ledger at the far end: each mail that the API accepted, each final dot that a destination saw, each 250 it gave.

In: addresses (an address is a mail's id) and times of one clock. Out: which mails are lost, which arrived twice and
why, and for how long nothing moved. A copy is explained when its predecessor was ambiguous: the destination gave no
250, or it gave one so shortly before a fault that the sender may have died before it recorded it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """250s within it may be unrecorded: from a moment before the fault until its end."""

    began: float
    ended: float


@dataclass(slots=True)
class Dot:
    at: float
    answered: float | None = None
    """When the 250 was given; None: the destination gave another answer, or none."""


@dataclass(slots=True)
class Mail:
    tenant: str
    good: bool
    """Its destination accepts mail in the end."""
    accepted: float | None = None
    dots: list[Dot] = field(default_factory=list)

    @property
    def delivered(self) -> float | None:
        return next((dot.answered for dot in self.dots if dot.answered is not None), None)


class Ledger:
    def __init__(self) -> None:
        self.mails: dict[str, Mail] = {}
        self.unknown: list[str] = []
        self.arrivals: list[float] = []
        """Of each 250 that a good destination gave."""

    def submit(self, addresses: Iterable[str], tenant: str, *, good: bool) -> None:
        self.mails.update({address: Mail(tenant, good) for address in addresses})

    def accept(self, addresses: Iterable[str], at: float) -> None:
        for address in addresses:
            self.mails[address].accepted = at

    def dot(self, address: str, at: float) -> Dot:
        dot = Dot(at)
        if address in self.mails:
            self.mails[address].dots.append(dot)
        else:
            self.unknown.append(address)
        return dot

    def give(self, address: str, dot: Dot, at: float) -> None:
        dot.answered = at
        if self.mails[address].good:
            self.arrivals.append(at)

    def undelivered(self) -> list[str]:
        """Accepted for a good destination, and without a 250."""
        return [
            address
            for address, mail in self.mails.items()
            if mail.good and mail.accepted is not None and mail.delivered is None
        ]

    def copies(self, since: float) -> Iterator[tuple[str, Dot, Dot]]:
        """Each dot after `since` that is not its mail's first, with the one before it."""
        for address, mail in self.mails.items():
            for before, dot in pairwise(mail.dots):
                if dot.at >= since:
                    yield address, before, dot

    def standstill(self, began: float, ended: float) -> float:
        """The longest time without a 250 of a good destination, between two moments at which mail was due."""
        times = [began, *(at for at in self.arrivals if began < at < ended), ended]
        return max(after - before for before, after in pairwise(times))


def explained(before: Dot, spans: Iterable[Span]) -> bool:
    """Whether a copy of the mail of this dot may exist."""
    if before.answered is None:
        return True
    return any(span.began <= before.answered <= span.ended for span in spans)
