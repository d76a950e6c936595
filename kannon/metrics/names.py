"""Every metric's name, labels and help text: the only place that spells them.

In: nothing. Out: one Spec for each metric; `metrics.py` counts with them, the metrics component reads gauges into them.
docs/operating.md explains each one, and packaging/prometheus/ uses them; tests compare all three.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


class SessionResult(StrEnum):
    """Of an SMTP session with this server: the first of these that is true of it."""

    STORED = "stored"
    """A message was stored."""
    DEFERRED = "deferred"
    """A recipient or a message got a 4xx reply."""
    REJECTED = "rejected"
    """A login, a recipient or a message got a 5xx reply."""
    IDLE = "idle"
    """It did none of these: a probe, a scanner, or a client that left."""
    REFUSED = "refused"
    """The connection got 421 at a limit of connections."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A counter's name has no `_total`, which the text format adds."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def gauge(self) -> GaugeMetricFamily:
        """Without samples."""
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)

    def counter(self) -> CounterMetricFamily:
        """Without samples."""
        return CounterMetricFamily(self.name, self.help, labels=self.labels)


# Counters and histograms of the components

RECIPIENTS: Final = Spec("kannon_recipients", "Recipients of sends, by result.", ("result",))
API_CALL_SECONDS: Final = Spec("kannon_api_call_seconds", "Calls of the API and their time.", ("method", "status"))
STAGE_SECONDS: Final = Spec("kannon_stage_seconds", "Time from one stage of a mail's way to another.", ("stage",))
WORK_SECONDS: Final = Spec("kannon_work_seconds", "Time that a piece of work takes.", ("work",))
BUILT: Final = Spec("kannon_built", "Mails built and signed.")
BUILD_FAILURES: Final = Spec("kannon_build_failures", "Mails that could not be built; the dispatcher retries.")
VERDICTS: Final = Spec("kannon_verdicts", "Delivery attempts, by verdict.", ("verdict", "code", "destination"))
TLS_MAILS: Final = Spec("kannon_tls_mails", "Mails delivered, by how the server was verified.", ("verified",))
WARM_UP_MAILS: Final = Spec("kannon_warm_up_mails", "Mails while an address warms up, by what they left from.", ("by",))
GAVE_UP: Final = Spec("kannon_gave_up", "Deliveries whose retry budget is used up.", ("outcome",))
EVENTS: Final = Spec("kannon_events", "Events stored in the statistics.", ("type",))
EVENTS_KNOWN: Final = Spec("kannon_events_known", "Events among them that were stored before.")
OUTCOMES: Final = Spec("kannon_outcomes", "Outcomes and complaints of each domain, once each.", ("domain", "type"))
REPORTS: Final = Spec("kannon_reports", "Mails to bounce addresses, by kind.", ("kind",))
RECEIVED_REPORTS: Final = Spec("kannon_received_reports", "Mails to dmarc@ and tlsrpt@, by result.", ("result",))
SUPPRESSED: Final = Spec("kannon_suppressed", "Addresses suppressed by events.", ("cause",))
GUARD_PAUSED: Final = Spec("kannon_guard_paused", "Batches that the guard paused.", ("cause",))
BUMP_ANSWERS: Final = Spec("kannon_bump_answers", "HTTP answers of bump, by status.", ("status",))
INBOUND_SESSIONS: Final = Spec("kannon_inbound_sessions", "Inbound SMTP sessions that ended, by result.", ("result",))
SUBMISSION_SESSIONS: Final = Spec("kannon_submission_sessions", "Submission sessions ended, by result.", ("result",))

WEBHOOK_REQUESTS: Final = Spec("kannon_webhook_requests", "Requests to webhook endpoints, by result.", ("result",))
WEBHOOK_EVENTS: Final = Spec("kannon_webhook_events", "Events in these requests, by result.", ("result",))
WEBHOOK_GAVE_UP: Final = Spec("kannon_webhook_gave_up", "Webhook events given up after their last attempt.")
WEBHOOK_DISABLED: Final = Spec("kannon_webhook_disabled", "Webhook endpoints that Kannon switched off.")

# Read at each scrape

COMPONENT_READY: Final = Spec("kannon_component_ready", "Whether a component serves.", ("component",))
COMPONENT_RESTARTS: Final = Spec("kannon_component_restarts", "Failures of a component.", ("component",))
PROCESSES: Final = Spec("kannon_processes", "Processes of this server: that should run, and that are ready.", ("are",))
PROCESS_RESTARTS: Final = Spec("kannon_process_restarts", "Further processes that ended by themselves.")
SMTP_MAILS: Final = Spec("kannon_smtp_mails", "Mails in the sender.", ("where",))
SMTP_CONNECTIONS: Final = Spec("kannon_smtp_connections", "Open connections to MX hosts.")
SMTP_DESTINATIONS: Final = Spec("kannon_smtp_destinations", "MX sites in use, by whether they answer.", ("is",))
INBOUND_OPEN: Final = Spec("kannon_inbound_open_sessions", "Inbound SMTP sessions that are open.")
SUBMISSION_OPEN: Final = Spec("kannon_submission_open_sessions", "Submission sessions that are open.")
READINGS_WAITING: Final = Spec("kannon_readings_waiting", "Opens and clicks that wait for NATS in memory.")
READINGS_LOST: Final = Spec("kannon_readings_lost", "Opens and clicks dropped because NATS was away too long.")
DISK_FREE: Final = Spec("kannon_disk_free_bytes", "Free space for the data directory.", ("path",))
DISK_RESERVE: Final = Spec("kannon_disk_reserve_bytes", "Below it sends are refused.", ("path",))
CERTIFICATE_EXPIRY: Final = Spec(
    "kannon_certificate_expiry_seconds", "Time until a TLS file in use expires, negative after that.", ("key",)
)
BACKUP_AGE: Final = Spec(
    "kannon_backup_age_seconds", "Time since kannon backup last wrote this data directory's database."
)
WEBHOOKS_WAITING: Final = Spec("kannon_webhooks_waiting", "Events that wait for a webhook endpoint.")
WEBHOOKS_OVERDUE: Final = Spec(
    "kannon_webhooks_overdue_seconds", "Time since the first event for an endpoint that is on was due."
)
WEBHOOK_ENDPOINTS: Final = Spec("kannon_webhook_endpoints", "Webhook endpoints, by state.", ("is",))
BROKEN_DOMAINS: Final = Spec("kannon_broken_domains", "Domains whose published DNS records are broken.")
UP: Final = Spec("kannon_up", "Whether a dependency answers.", ("dependency",))
DELIVERIES: Final = Spec("kannon_deliveries", "Deliveries without an outcome.", ("state",))
OVERDUE_SECONDS: Final = Spec("kannon_overdue_seconds", "Time since the first one was due.", ("state",))
SUPPRESSIONS: Final = Spec("kannon_suppressions", "Addresses suppressed now, of all domains.")
POSTGRES_CONNECTIONS: Final = Spec("kannon_postgres_connections", "Connections to PostgreSQL.", ("pool", "state"))
STREAM_MESSAGES: Final = Spec("kannon_stream_messages", "Messages in a stream.", ("stream",))
STREAM_LIMIT: Final = Spec("kannon_stream_limit", "Messages that a stream can hold.", ("stream",))
STREAM_BYTES: Final = Spec("kannon_stream_bytes", "Bytes in a stream.", ("stream",))
STREAM_AGE_SECONDS: Final = Spec("kannon_stream_age_seconds", "Age of a stream's oldest message.", ("stream",))
CONSUMER_WAITING: Final = Spec(
    "kannon_consumer_waiting", "Messages a consumer has not settled.", ("stream", "consumer")
)
PARKED_MESSAGES: Final = Spec("kannon_parked_messages", "Dead letters: messages that no component could handle.")
BUILD_INFO: Final = Spec("kannon_build_info", "The version that runs.", ("version",))
