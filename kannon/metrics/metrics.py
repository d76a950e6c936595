"""Every number that components count or time: the verbs of kannon.metrics.null_metrics as Prometheus metrics.

In: calls of components. Out: metrics in the given registry. Each label but one has few values, known in advance, whose
counters start at zero; of destinations, only the busiest have a label of their own. Label children are looked up once
and kept: prometheus_client's look-up takes longer than the increment.
"""

from collections.abc import Collection, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from kannon.mail.address import registrable_domain
from kannon.mail.bounce import ReportKind
from kannon.mail.event import Event, EventType
from kannon.mail.send_request import RejectReason
from kannon.mail.suppression import Cause, Suppression
from kannon.metrics.top_labels import TopLabels

ACCEPTED = "accepted"
VERDICTS = {EventType.DELIVERED: "delivered", EventType.ERROR: "deferred", EventType.BOUNCED: "refused"}
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 14400.0, 86400.0)
"""Seconds: from a build to the end of a retry window."""


class Metrics:
    """Of one process; each component gets it as the Protocol that it asks for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def count(name: str, text: str) -> Counter:
            return Counter(name, text, registry=registry)

        def count_by(label: str, values: Collection[str], name: str, text: str) -> dict[str, Counter]:
            counter = Counter(name, text, [label], registry=registry)
            return {value: counter.labels(value) for value in values}

        def time_by(label: str, values: Collection[str], name: str, text: str) -> dict[str, Histogram]:
            histogram = Histogram(name, text, [label], buckets=BUCKETS, registry=registry)
            return {value: histogram.labels(value) for value in values}

        self._recipients = count_by(
            "result", [ACCEPTED, *RejectReason], "kannon_recipients", "Recipients of sends, by result."
        )
        self._stages = time_by(
            "stage",
            ["validate", "dispatch", "deliver", "store"],
            "kannon_stage_seconds",
            "Time from one stage of a mail's way to another.",
        )
        self._work = time_by("work", ["build", "send"], "kannon_work_seconds", "Time that a piece of work takes.")
        self._built = count("kannon_built", "Mails built and signed.")
        self._build_failures = count("kannon_build_failures", "Mails that could not be built; the dispatcher retries.")
        self._gave_up = count_by(
            "outcome",
            [EventType.BOUNCED, EventType.FAILED],
            "kannon_gave_up",
            "Deliveries whose retry budget is used up.",
        )
        self._events = count_by("type", list(EventType), "kannon_events", "Events stored in the statistics.")
        self._known = count("kannon_events_known", "Events among them that were stored before.")
        self._reports = count_by("kind", list(ReportKind), "kannon_reports", "Mails to bounce addresses, by kind.")
        self._suppressed = count_by(
            "cause", [Cause.BOUNCED, Cause.COMPLAINED], "kannon_suppressed", "Addresses suppressed by events."
        )
        self._verdicts = Counter(
            "kannon_verdicts", "Delivery attempts, by verdict.", ["verdict", "code", "destination"], registry=registry
        )
        self._verdict: dict[tuple[EventType, int, str], Counter] = {}
        self._destinations = TopLabels()

    def accepted(self, count: int, reasons: Collection[str]) -> None:
        self._recipients[ACCEPTED].inc(count)
        for reason in reasons:
            self._recipients[reason].inc()

    def validated(self, waited: Sequence[float]) -> None:
        _observe(self._stages["validate"], waited)

    def built(self, mails: int, failures: int, seconds: float) -> None:
        self._built.inc(mails)
        self._build_failures.inc(failures)
        if mails:
            _observe(self._work["build"], [seconds / mails] * mails)

    def dispatched(self, waited: Sequence[float]) -> None:
        _observe(self._stages["dispatch"], waited)

    def gave_up(self, events: Sequence[Event]) -> None:
        for event in events:
            self._gave_up[event.type].inc()

    def tried(self, seconds: float) -> None:
        self._work["send"].observe(seconds)

    def recorded(self, events: Sequence[Event]) -> None:
        for event in events:
            name = registrable_domain(event.host) if event.host else event.email.rpartition("@")[2].lower()
            key = (event.type, event.code // 100, self._destinations.label(name))
            counter = self._verdict.get(key)
            if counter is None:
                counter = self._verdict[key] = self._verdicts.labels(
                    VERDICTS[event.type], f"{event.code // 100}xx" if event.code else "none", key[2]
                )
            counter.inc()

    def delivered(self, waited: float) -> None:
        self._stages["deliver"].observe(waited)

    def reported(self, kind: str) -> None:
        self._reports[kind].inc()

    def stored(self, events: Sequence[Event], new: int, waited: Sequence[float]) -> None:
        for event in events:
            self._events[event.type].inc()
        self._known.inc(len(events) - new)
        _observe(self._stages["store"], waited)

    def suppressed(self, suppressions: Sequence[Suppression]) -> None:
        for suppression in suppressions:
            self._suppressed[suppression.cause].inc()


def _observe(histogram: Histogram, seconds: Sequence[float]) -> None:
    for each in seconds:
        histogram.observe(each)
