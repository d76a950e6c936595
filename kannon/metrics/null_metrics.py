"""The verbs by which components count and time their work, without an effect.

Each component has a Protocol of the verbs that it uses; kannon.metrics.metrics implements all of them. Components call
them once a page, `tried` and `delivered` once a mail.
"""

from collections.abc import Collection, Sequence

from kannon.mail.event import Event
from kannon.mail.suppression import Suppression


class NullMetrics:
    """Metrics that count nothing, for tests and tools."""

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
        """sender: one attempt, from its start to its verdict."""

    def recorded(self, events: Sequence[Event]) -> None:
        """sender: the events of verdicts, once they are on the bus."""

    def delivered(self, waited: float) -> None:
        """sender: a remote server accepted a mail, so many seconds after it was due."""

    def reported(self, kind: str) -> None:
        """smtp: a mail to a bounce address, by its kind of report."""

    def stored(self, events: Sequence[Event], new: int, waited: Sequence[float]) -> None:
        """stats: a page; the number of new events, and seconds since each event."""

    def suppressed(self, suppressions: Sequence[Suppression]) -> None:
        """stats: addresses that events suppressed."""


NULL_METRICS = NullMetrics()
