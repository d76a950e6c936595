"""Every number that components count or time: the verbs of kannon.metrics.null_metrics as Prometheus metrics.

In: calls of components. Out: metrics in the given registry. Each label but one has few values, known in advance, whose
counters start at zero; of destinations, only the busiest have a label of their own. Label children are looked up once
and kept: prometheus_client's look-up takes longer than the increment.
"""

from collections.abc import Collection, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from kannon.mail.address import registrable_domain
from kannon.mail.bounce import ReportKind
from kannon.mail.event import TERMINAL, Event, EventType
from kannon.mail.guard import Cause as GuardCause
from kannon.mail.send_request import RejectReason
from kannon.mail.suppression import Cause, Suppression
from kannon.metrics import names
from kannon.metrics.names import SessionResult, Spec
from kannon.metrics.top_labels import TopLabels

ACCEPTED = "accepted"
VERDICTS = {EventType.DELIVERED: "delivered", EventType.ERROR: "deferred", EventType.BOUNCED: "refused"}
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 14400.0, 86400.0)
"""Seconds: from a build to the end of a retry window."""
CALL_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a call that takes longer than the last one has a client that uploads slowly."""
TLS_VERIFIED = ("dane", "mta-sts", "verified", "unverified", "clear_text")
"""As the last word of an event's `tls`; "clear_text" where that is empty."""
READ = ("dmarc", "tls", "known", "refused")
WARM_UP = ("new", "older", "waits")
WEBHOOK_RESULTS = ("posted", "failed")
OUTCOMES = [*sorted(TERMINAL), EventType.COMPLAINED]
AT_ONCE = 25  # domains that have a label from their first outcome on; the others need a hundred


class Metrics:
    """Of one process; each component gets it as the Protocol that it asks for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def count(spec: Spec) -> Counter:
            return Counter(spec.name, spec.help, spec.labels, registry=registry)

        def count_by(values: Collection[str], spec: Spec) -> dict[str, Counter]:
            counter = count(spec)
            return {value: counter.labels(value) for value in values}

        def time(spec: Spec, buckets: Sequence[float]) -> Histogram:
            return Histogram(spec.name, spec.help, spec.labels, buckets=buckets, registry=registry)

        def time_by(values: Collection[str], spec: Spec) -> dict[str, Histogram]:
            histogram = time(spec, BUCKETS)
            return {value: histogram.labels(value) for value in values}

        self._recipients = count_by([ACCEPTED, *RejectReason], names.RECIPIENTS)
        self._stages = time_by(["validate", "dispatch", "deliver", "store", "webhook"], names.STAGE_SECONDS)
        self._work = time_by(["build", "send"], names.WORK_SECONDS)
        self._built = count(names.BUILT)
        self._build_failures = count(names.BUILD_FAILURES)
        self._gave_up = count_by([EventType.BOUNCED, EventType.FAILED], names.GAVE_UP)
        self._events = count_by(list(EventType), names.EVENTS)
        self._known = count(names.EVENTS_KNOWN)
        self._reports = count_by(list(ReportKind), names.REPORTS)
        self._reports_read = count_by(READ, names.RECEIVED_REPORTS)
        self._suppressed = count_by([Cause.BOUNCED, Cause.COMPLAINED, Cause.UNSUBSCRIBED], names.SUPPRESSED)
        self._guard_paused = count_by(list(GuardCause), names.GUARD_PAUSED)
        self._sessions = count_by(list(SessionResult), names.INBOUND_SESSIONS)
        self._submissions = count_by(list(SessionResult), names.SUBMISSION_SESSIONS)
        self._bump_answers = count(names.BUMP_ANSWERS)
        self._bump_answer = {status: self._bump_answers.labels(str(status)) for status in (200, 307, 404, 405, 503)}
        self._webhook_requests = count_by(WEBHOOK_RESULTS, names.WEBHOOK_REQUESTS)
        self._webhook_events = count_by(WEBHOOK_RESULTS, names.WEBHOOK_EVENTS)
        self._webhook_gave_up = count(names.WEBHOOK_GAVE_UP)
        self._webhook_disabled = count(names.WEBHOOK_DISABLED)
        self._calls = time(names.API_CALL_SECONDS, CALL_BUCKETS)
        self._call: dict[tuple[str, str], Histogram] = {}
        self._tls = count_by(TLS_VERIFIED, names.TLS_MAILS)
        self._verdicts = count(names.VERDICTS)
        self._warm_ups = count_by(WARM_UP, names.WARM_UP_MAILS)
        self._verdict: dict[tuple[EventType, int, str], Counter] = {}
        self._destinations = TopLabels()
        self._outcomes = count(names.OUTCOMES)
        self._outcome: dict[tuple[str, EventType], Counter] = {}
        self._domains = TopLabels(at_once=AT_ONCE)
        self.attempts = 0
        """Mails that the sender has tried."""

    def accepted(self, count: int, reasons: Collection[str]) -> None:
        self._recipients[ACCEPTED].inc(count)
        for reason in reasons:
            self._recipients[reason].inc()

    def called(self, method: str, status: str, seconds: float) -> None:
        histogram = self._call.get((method, status))
        if histogram is None:
            histogram = self._call[method, status] = self._calls.labels(method, status)
        histogram.observe(seconds)

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
        self.attempts += 1
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
            if event.type is EventType.DELIVERED:
                self._tls[event.tls.rpartition(" ")[2] or "clear_text"].inc()

    def delivered(self, waited: float) -> None:
        self._stages["deliver"].observe(waited)

    def warmed_up(self, by: str) -> None:
        self._warm_ups[by].inc()

    def reported(self, kind: str) -> None:
        self._reports[kind].inc()

    def report_read(self, result: str) -> None:
        self._reports_read[result].inc()

    def session_ended(self, result: SessionResult) -> None:
        self._sessions[result].inc()

    def submission_ended(self, result: SessionResult) -> None:
        self._submissions[result].inc()

    def answered(self, status: int) -> None:
        self._bump_answer[status].inc()

    def stored(
        self, events: Sequence[Event], fresh: Mapping[tuple[str, EventType], int], waited: Sequence[float]
    ) -> None:
        for event in events:
            self._events[event.type].inc()
        self._known.inc(len(events) - sum(fresh.values()))
        for (domain, kind), count in fresh.items():
            if kind in OUTCOMES:
                self._count_outcomes(self._domains.label(domain, count), kind, count)
        _observe(self._stages["store"], waited)

    def _count_outcomes(self, domain: str, kind: EventType, count: int) -> None:
        if (domain, kind) not in self._outcome:
            # All types of a domain begin at zero together, so that their ratios exist from the first one on.
            for each in OUTCOMES:
                self._outcome[domain, each] = self._outcomes.labels(domain, each)
        self._outcome[domain, kind].inc(count)

    def suppressed(self, suppressions: Sequence[Suppression]) -> None:
        for suppression in suppressions:
            self._suppressed[suppression.cause].inc()

    def guard_paused(self, cause: GuardCause) -> None:
        self._guard_paused[cause].inc()

    def webhook_posted(self, events: int, result: str, waited: Sequence[float]) -> None:
        self._webhook_requests[result].inc()
        self._webhook_events[result].inc(events)
        _observe(self._stages["webhook"], waited)

    def webhook_gave_up(self, events: int) -> None:
        self._webhook_gave_up.inc(events)

    def webhook_disabled(self) -> None:
        self._webhook_disabled.inc()


def _observe(histogram: Histogram, seconds: Sequence[float]) -> None:
    for each in seconds:
        histogram.observe(each)
