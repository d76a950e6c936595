"""The verbs by which components count and time their work, without an effect.

Each component has a Protocol of the verbs that it uses; kannon.metrics.metrics implements all of them. Components call
them once a page, `tried` and `delivered` once a mail, `called`, `answered` and `session_ended` once a call, an HTTP
answer and an SMTP session.
"""

from collections.abc import Collection, Mapping, Sequence

from kannon.mail.event import Event, EventType
from kannon.mail.guard import Cause as GuardCause
from kannon.mail.suppression import Suppression
from kannon.metrics.names import SessionResult


class NullMetrics:
    """Metrics that count nothing, for tests and tools."""

    def accepted(self, count: int, reasons: Collection[str]) -> None:
        """api: a send; the accepted recipients, and the reason of each rejected one."""

    def called(self, method: str, status: str, seconds: float) -> None:
        """api: a call has ended; `status` is gRPC's name of it."""

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

    def warmed_up(self, by: str) -> None:
        """sender: a mail to a provider for which an address warms up: it leaves from a `new` one, from an `older` one,
        or it `waits`."""

    def reported(self, kind: str) -> None:
        """smtp: a mail to a bounce address, by its kind of report."""

    def report_read(self, result: str) -> None:
        """smtp: a report to dmarc@ or tlsrpt@: `dmarc`, `tls`, `known` (it came before), `refused`."""

    def session_ended(self, result: SessionResult) -> None:
        """smtp: an inbound session, or a connection that got none."""

    def submission_ended(self, result: SessionResult) -> None:
        """submission: a session, or a connection that got none."""

    def answered(self, status: int) -> None:
        """bump: an HTTP answer."""

    def stored(
        self, events: Sequence[Event], fresh: Mapping[tuple[str, EventType], int], waited: Sequence[float]
    ) -> None:
        """stats: a page; the number of new events by domain and type, and seconds since each event."""

    def suppressed(self, suppressions: Sequence[Suppression]) -> None:
        """stats: addresses that events suppressed."""

    def guard_paused(self, cause: GuardCause) -> None:
        """stats: the guard paused a batch."""

    def webhook_posted(self, events: int, result: str, waited: Sequence[float]) -> None:
        """webhooks: a request ended, `posted` or `failed`; seconds from storing to posting each event that had no
        attempt before."""

    def webhook_gave_up(self, events: int) -> None:
        """webhooks: events whose last attempt failed."""

    def webhook_disabled(self) -> None:
        """webhooks: an endpoint was switched off."""


NULL_METRICS = NullMetrics()
