"""Tracking policy: how much an open or a click may reveal, per axis, and the one that holds of several statements.

In: the modes stated by domain, batch and recipient. Out: the effective mode, the lowest stated. The numbers are those
of pkg.kannon.tracking.types.TrackingMode and of the database's CHECKs.
"""

from dataclasses import dataclass
from enum import IntEnum


class TrackingMode(IntEnum):
    """Ordered: off < anonymous < pseudonymous < identified < full. UNSPECIFIED is "not stated", never effective."""

    UNSPECIFIED = 0
    OFF = 1
    ANONYMOUS = 2
    PSEUDONYMOUS = 3
    IDENTIFIED = 4
    FULL = 5


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """One mode per axis: opens (the pixel) and links."""

    opens: TrackingMode = TrackingMode.UNSPECIFIED
    links: TrackingMode = TrackingMode.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class UnsupportedTracking(TrackingPolicy):
    """A recipient's statement with a mode that does not exist. Its recipient is rejected, so it is never effective."""


NOT_STATED = TrackingPolicy()
OFF = TrackingPolicy(TrackingMode.OFF, TrackingMode.OFF)
IDENTIFIED = TrackingPolicy(TrackingMode.IDENTIFIED, TrackingMode.IDENTIFIED)


def effective_policy(ceiling: TrackingPolicy, *stated: TrackingPolicy) -> TrackingPolicy:
    """The lowest mode stated on each axis; `ceiling` (the domain's) is always stated."""

    def lowest(modes: list[TrackingMode]) -> TrackingMode:
        return min(mode for mode in modes if mode is not TrackingMode.UNSPECIFIED)

    return TrackingPolicy(
        lowest([ceiling.opens, *(p.opens for p in stated)]), lowest([ceiling.links, *(p.links for p in stated)])
    )
