"""What each fault may cost: the promises that docs/reliability.md makes, in one place.

In: the name of a fault. Out: for how long nothing may move, when the last mail has to be settled, and whether mails may
go out twice. A bound is what Kannon promises, plus what a busy machine adds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """Seconds. `still`: nothing arrives, beyond the fault itself. `last`: from the end of the fault until every mail
    that was accepted before it is settled. `copies`: a 250 that was given so long before the fault, or during it, may
    be unrecorded; None: no mail goes out twice."""

    still: float
    last: float
    copies: float | None = None
    events_lost: bool = False
    """Events of the last moment before it may be missing in the statistics."""


CALM = Bound(still=3, last=10)
RESTART = Bound(still=8, last=15, copies=1.0)
"""A process is killed and started again: it is ready after 2 to 4 s."""

BOUNDS: dict[str, Bound] = {
    "burst": CALM,
    "rest": CALM,
    "restart": Bound(still=8, last=15),
    "kill-kannon": RESTART,
    "stop-kannon": CALM,
    "kill-worker": CALM,
    "kill-postgres": Bound(still=6, last=12),
    "stop-postgres": Bound(still=6, last=12),
    "kill-nats": Bound(still=6, last=10),
    "stop-nats": Bound(still=6, last=15),
    "store-loss": Bound(still=10, last=75, events_lost=True),
    "full-disk": Bound(still=12, last=15),
    "power-cut": Bound(still=8, last=75, copies=2.0),
    "clock-ahead": CALM,
    "clock-back": CALM,
    "kill-api": CALM,
    "kill-validator": Bound(still=6, last=10),
    "kill-stats": CALM,
    "kill-dispatcher": Bound(still=6, last=12),
    "kill-sender": Bound(still=6, last=20, copies=1.0),
    "stop-api": CALM,
    "stop-validator": Bound(still=6, last=10),
    "stop-stats": CALM,
    "stop-dispatcher": Bound(still=6, last=12),
    "stop-sender": Bound(still=6, last=20, copies=1.0),  # another sender has its mail after the ack wait
    "nats-leader": Bound(still=10, last=15),
    "nats-stop": Bound(still=10, last=15),
    "nats-store": Bound(still=15, last=30, copies=2.0, events_lost=True),
    "postgres-restart": Bound(still=6, last=12),
}
