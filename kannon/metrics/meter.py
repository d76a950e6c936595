"""Every number that components tell of: the verbs of kannon.metrics.null_metrics, and what each adds to.

In: calls of components, in one event loop. Out: metric families. Labels have few values, all known but one: of
destinations only the busiest have a name.
"""

from collections.abc import Collection, Iterable, Sequence

from prometheus_client import Metric

from kannon.mail.address import registrable_domain
from kannon.mail.bounce import ReportKind
from kannon.mail.event import Event, EventType
from kannon.mail.send_request import RejectReason
from kannon.mail.suppression import Cause, Suppression
from kannon.metrics.series import Count, Timing, TopLabels

ACCEPTED = "accepted"
STAGES = ("validate", "dispatch", "deliver", "store")
VERDICTS = {EventType.DELIVERED: "delivered", EventType.ERROR: "deferred", EventType.BOUNCED: "refused"}


class Meter:
    """Of one process; handed to each component as the Protocol it asks for."""

    def __init__(self) -> None:
        self._destinations = TopLabels()
        results = [(ACCEPTED,), *((reason.value,) for reason in RejectReason)]
        self._recipients = Count(
            "kannon_recipients", "Recipients of sends, by what became of them.", ["result"], results
        )
        self._stages = Timing(
            "kannon_stage_seconds", "Time from one stage of a mail's way to another.", "stage", STAGES
        )
        self._work = Timing("kannon_work_seconds", "Time that a piece of work takes.", "work", ("build", "send"))
        self._built = Count("kannon_built", "Mails built and signed.")
        self._unbuilt = Count("kannon_build_failures", "Mails that could not be built; they are tried again.")
        self._verdicts = Count(
            "kannon_verdicts", "Tries to deliver, by what came of them.", ["verdict", "code", "destination"]
        )
        self._gave_up = Count(
            "kannon_gave_up",
            "Deliveries whose retry budget is used up.",
            ["outcome"],
            [(EventType.BOUNCED.value,), (EventType.FAILED.value,)],
        )
        self._events = Count(
            "kannon_events", "Events brought to the statistics.", ["type"], [(kind.value,) for kind in EventType]
        )
        self._known = Count("kannon_events_known", "Of these, those that had been stored before.")
        self._reports = Count(
            "kannon_reports", "Mails to bounce addresses, by kind.", ["kind"], [(kind.value,) for kind in ReportKind]
        )
        self._suppressed = Count(
            "kannon_suppressed",
            "Addresses suppressed by events.",
            ["cause"],
            [(Cause.BOUNCED.value,), (Cause.COMPLAINED.value,)],
        )

    def collect(self) -> Iterable[Metric]:
        for series in vars(self).values():
            if isinstance(series, Count | Timing):
                yield from series.collect()

    def accepted(self, count: int, reasons: Collection[str]) -> None:
        self._recipients.add(ACCEPTED, amount=count)
        for reason in reasons:
            self._recipients.add(reason)

    def validated(self, waited: Sequence[float]) -> None:
        self._stages.add_all("validate", waited)

    def built(self, mails: int, failures: int, seconds: float) -> None:
        self._built.add(amount=mails)
        self._unbuilt.add(amount=failures)
        if mails:
            self._work.add_all("build", [seconds / mails] * mails)

    def dispatched(self, waited: Sequence[float]) -> None:
        self._stages.add_all("dispatch", waited)

    def gave_up(self, events: Sequence[Event]) -> None:
        for event in events:
            self._gave_up.add(event.type.value)

    def tried(self, seconds: float) -> None:
        self._work.add("send", seconds)

    def recorded(self, events: Sequence[Event]) -> None:
        for event in events:
            code = f"{event.code // 100}xx" if event.code else "none"
            name = registrable_domain(event.host) if event.host else event.email.rpartition("@")[2].lower()
            self._verdicts.add(VERDICTS[event.type], code, self._destinations.label(name))

    def delivered(self, waited: float) -> None:
        self._stages.add("deliver", waited)

    def reported(self, kind: str) -> None:
        self._reports.add(kind)

    def stored(self, events: Sequence[Event], new: int, waited: Sequence[float]) -> None:
        for event in events:
            self._events.add(event.type.value)
        self._known.add(amount=len(events) - new)
        self._stages.add_all("store", waited)

    def suppressed(self, suppressions: Sequence[Suppression]) -> None:
        for suppression in suppressions:
            self._suppressed.add(suppression.cause.value)
