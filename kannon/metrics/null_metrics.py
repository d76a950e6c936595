"""What components tell of their work, as numbers: the verbs, and somebody who does not listen.

Each component asks for the few verbs it uses (a Protocol of its own); kannon.components.metrics has all of them. Verbs
are called once a page; `tried` and `delivered` once a mail, which is why they must cost next to nothing.
"""

from collections.abc import Collection, Sequence

from kannon.mail.event import Event
from kannon.mail.suppression import Suppression


class NullMetrics:
    """In place of metrics where nobody wants them."""

    def accepted(self, count: int, reasons: Collection[str]) -> None:
        """api: a send; the accepted recipients, and the reason of each rejected one."""

    def validated(self, waited: Sequence[float]) -> None:
        """validator: a page; seconds since each delivery was accepted."""

    def built(self, mails: int, failures: int, seconds: float) -> None:
        """dispatcher: a chunk, and how long building and signing it took."""

    def dispatched(self, waited: Sequence[float]) -> None:
        """dispatcher: a chunk is on the bus; seconds since each first try was due."""

    def gave_up(self, events: Sequence[Event]) -> None:
        """dispatcher: deliveries whose retry budget is used up."""

    def tried(self, seconds: float) -> None:
        """sender: one mail, from its turn to its verdict."""

    def recorded(self, events: Sequence[Event]) -> None:
        """sender: verdicts that are on the bus."""

    def delivered(self, waited: float) -> None:
        """sender: a mail was taken, so many seconds after it was due."""

    def reported(self, kind: str) -> None:
        """smtp: a mail to a bounce address, and what it was taken for."""

    def stored(self, events: Sequence[Event], new: int, waited: Sequence[float]) -> None:
        """stats: a page; how many of it were new, and seconds since each happened."""

    def suppressed(self, suppressions: Sequence[Suppression]) -> None:
        """stats: addresses that are written to no more."""


NULL_METRICS = NullMetrics()
