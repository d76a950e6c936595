"""Webhooks: the events that an endpoint gets, the body of a request, and the times of its retries.

In: queued events. Out: the id and the JSON of a request as Standard Webhooks describes it; docs/webhooks.schema.json
describes the same for receivers, and a test compares the two. The caller signs and posts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit


class WebhookType(StrEnum):
    """What an endpoint can ask for. `delivery.*`: the events of the statistics, under the same names but for
    delivery.deferred, which is `error` there."""

    ACCEPTED = "delivery.accepted"
    REJECTED = "delivery.rejected"
    DELIVERED = "delivery.delivered"
    DEFERRED = "delivery.deferred"
    BOUNCED = "delivery.bounced"
    FAILED = "delivery.failed"
    OPENED = "delivery.opened"
    CLICKED = "delivery.clicked"
    COMPLAINED = "delivery.complained"
    UNSUBSCRIBED = "delivery.unsubscribed"
    SUPPRESSED = "address.suppressed"
    BATCH_FINISHED = "batch.finished"
    BATCH_PAUSED = "batch.paused"
    RECORDS_BROKEN = "domain.records_broken"
    ENDPOINT_DISABLED = "endpoint.disabled"
    ENDPOINT_TEST = "endpoint.test"
    """Only `kannon webhooks test` makes it; an endpoint gets it whatever types it asks for."""


MAX_BATCH: Final = 100
MAX_URL: Final = 2048
PREVIOUS_SECRET_VALID: Final = timedelta(hours=24)
"""After a rotation requests have two signatures for so long, so that the receiver can change its secret."""
GIVE_UP_ENDPOINT: Final = timedelta(days=5)
"""Without one success an endpoint is switched off."""
RETRIES: Final = tuple(timedelta(seconds=s) for s in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""The delay after each failed attempt (Standard Webhooks, "Deliverability and reliability"): 75 hours in all. An event
whose last attempt fails is given up."""
JITTER: Final = 0.1
MAX_RETRY_AFTER: Final = timedelta(hours=24)
_MAX_REST_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event for one endpoint. `event_id` is the same at every attempt; `data` as the database keeps it."""

    event_id: str
    type: WebhookType
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`types` empty: all. `secret` and, until `previous_until`, `previous_secret` sign. `disabled_at` None: it is
    on."""

    id: str
    domain: str
    url: str
    secret: str
    types: tuple[WebhookType, ...] = ()
    max_batch: int = 1
    previous_secret: str = ""
    previous_until: datetime | None = None
    created_at: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str = ""
    last_success_at: datetime | None = None
    failing_since: datetime | None = None
    failures: int = 0
    given_up: int = 0

    @property
    def enabled(self) -> bool:
        return self.disabled_at is None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to an endpoint. `status` 0: no answer, see `problem`. `answer`: its first KiB. `type` is that of the
    first of its `events`."""

    endpoint_id: str
    at: datetime
    request_id: str
    type: str
    events: int
    status: int
    problem: str
    milliseconds: int
    answer: str

    @property
    def succeeded(self) -> bool:
        return not self.problem


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """`id` is the webhook-id header: the event's own id where there is one event, else one made of all their ids."""

    id: str
    body: str


def make_request(events: Sequence[WebhookEvent], *, batched: bool, now: datetime) -> WebhookRequest:
    """`batched`: the endpoint takes several events a request; then `data` is a list, also of one event."""
    first = events[0]
    request_id = first.event_id
    if len(events) > 1:
        request_id = "batch_" + hashlib.sha256("\n".join(e.event_id for e in events).encode()).hexdigest()[:32]
    if not batched:
        return WebhookRequest(request_id, _dump(event_body(first)))
    body = {"type": "events", "timestamp": _time(now), "data": [event_body(event) for event in events]}
    return WebhookRequest(request_id, _dump(body))


def event_body(event: WebhookEvent) -> dict[str, Any]:
    """What the receiver reads."""
    fields, always = _FIELDS[event.type]
    data = {}
    for name in fields:
        value = event.data.get(name)
        if name in always or value not in (None, "", 0, {}, "infinity"):
            data[name] = value
    return {"id": event.event_id, "type": event.type.value, "timestamp": _time(event.at), "data": data}


_DELIVERY = ("domain", "message_id", "delivery_id", "email", "tag", "metadata")
_ATTEMPT = (*_DELIVERY, "attempt", "code", "enhanced_status", "text", "stage", "host", "tls")
_READ = (*_DELIVERY, "user_agent", "ip", "suspected_machine")
_WHO = frozenset({"domain", "message_id", "email"})
_FIELDS: Final[Mapping[WebhookType, tuple[Sequence[str], frozenset[str]]]] = {
    WebhookType.ACCEPTED: (_DELIVERY, _WHO),
    WebhookType.REJECTED: ((*_DELIVERY, "text"), _WHO | {"text"}),
    WebhookType.DELIVERED: (_ATTEMPT, _WHO),
    WebhookType.DEFERRED: ((*_ATTEMPT, "retry_after_seconds"), _WHO | {"attempt", "text"}),
    WebhookType.BOUNCED: ((*_ATTEMPT, "permanent"), _WHO | {"permanent"}),
    WebhookType.FAILED: (_ATTEMPT, _WHO | {"text"}),
    WebhookType.OPENED: (_READ, _WHO | {"suspected_machine"}),
    WebhookType.CLICKED: ((*_READ, "url"), _WHO | {"suspected_machine", "url"}),
    WebhookType.COMPLAINED: ((*_DELIVERY, "text", "host"), _WHO),
    WebhookType.UNSUBSCRIBED: (_DELIVERY, _WHO),
    WebhookType.SUPPRESSED: (
        ("domain", "email", "cause", "expires_at", "message_id", "delivery_id", "tag", "code", "enhanced_status",
         "text", "host"),
        frozenset({"domain", "email", "cause"}),
    ),
    WebhookType.BATCH_FINISHED: (
        ("domain", "message_id", "tag", "delivered", "bounced", "failed", "rejected"),
        frozenset({"domain", "message_id", "delivered", "bounced", "failed", "rejected"}),
    ),
    WebhookType.BATCH_PAUSED: (("domain", "message_id", "tag", "reason"), frozenset({"domain", "message_id"})),
    WebhookType.RECORDS_BROKEN: (("domain", "records"), frozenset({"domain", "records"})),
    WebhookType.ENDPOINT_DISABLED: (
        ("domain", "endpoint_id", "url", "reason"), frozenset({"domain", "endpoint_id", "url", "reason"}),
    ),
    WebhookType.ENDPOINT_TEST: (("domain", "endpoint_id"), frozenset({"domain", "endpoint_id"})),
}  # fmt: skip
"""Of each type the fields of `data`, and those among them that are there also when they are empty."""


def next_attempt(attempts: int, now: datetime, chance: float, retry_after: timedelta | None = None) -> datetime | None:
    """After the failure of attempt `attempts` (from 1). `chance` is in [0, 1). None: given up."""
    if attempts > len(RETRIES):
        return None
    delay = RETRIES[attempts - 1] * (1 + JITTER * chance)
    if retry_after is not None:
        delay = max(delay, min(retry_after, MAX_RETRY_AFTER))
    return now + delay


def rest_after(failures: int, retry_after: timedelta | None = None) -> timedelta:
    """How long an endpoint gets nothing at all after so many failed requests in a row, so that an endpoint that is away
    does not get a request for every event."""
    rest = timedelta(seconds=min(2.0 ** (failures - 1), _MAX_REST_SECONDS))
    return rest if retry_after is None else max(rest, min(retry_after, MAX_RETRY_AFTER))


def url_problem(url: str, *, allow_http: bool) -> str | None:
    """Why an endpoint cannot have this URL; None: it can."""
    if len(url) > MAX_URL:
        return f"is longer than {MAX_URL} characters"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "has characters that a URL cannot have"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"is no URL: {error}"
    if parts.scheme not in ("https", "http") or not host:
        return 'is not of the form "https://host/path"'
    if parts.scheme == "http" and not allow_http:
        return "must begin with https:// (webhooks.allow_http permits http://)"
    if parts.fragment:
        return "must not have a fragment"
    return None


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dump(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
