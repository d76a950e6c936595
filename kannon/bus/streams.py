"""Streams, subjects, consumers and limits: the one module that declares them.

Every process ensures them at start. Where an existing stream or consumer has another limit than declared, the start
ends with OperatorError, for silent drift loses mail; Kannon does not change it by itself. The number of replicas is the
operator's setting (nats.replicas): existing streams follow it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import structlog
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    PersistMode,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from kannon.errors import OperatorError
from kannon.mail.event import EventType

log = structlog.get_logger()

HOUR = 3600.0

SENDING = "kannon.sending"  # what senders read; a version before the partitions publishes to it
SENDING_PARTITIONS = 64
"""The last token of an envelope's subject is its delivery id modulo this, so that a stream can become several, each
with some of the subjects and a consumer of its own (docs/scaling.md). A repeated publish stays in the same one."""
BOUNCE = "kannon.bounce"
STATS_SUBJECTS: dict[EventType, str] = {
    event_type: "kannon.stats." + {EventType.OPENED: "open", EventType.CLICKED: "click"}.get(event_type, event_type)
    for event_type in EventType
}
NOTIFY_VALIDATOR = "kannon.wake.validator"
NOTIFY_DISPATCHER = "kannon.wake.dispatcher"
NOTIFY_WEBHOOKS = "kannon.wake.webhooks"
KEYS_CHANGED = "kannon.changed.keys"  # core NATS, to every dispatcher: a DKIM key signs now, or no longer
THROTTLED = "kannon.postponed"  # core NATS, a sender's request to one dispatcher
ASK_SENDERS = "kannon.ask.senders"  # core NATS, every sender replies
ASK_DISPATCHER = "kannon.ask.outcomes"  # core NATS, a sender's request to one dispatcher
TLS_RESULTS = "kannon.tls_results"
SENDERS = "kannon.senders"  # core NATS, from every sender to every sender
GATHER_DESTINATIONS = "kannon.ask.destinations"  # core NATS, every sender replies
GATHER_NODES = "kannon.ask.nodes"  # core NATS, every process replies
DEAD_LETTERS = "kannon.parked"
DEAD_LETTERS_STREAM = "kannon_parked"
BODIES = "kannon_bodies"
# A day longer than an envelope stays in its stream (kannon_sending's max_age), so no envelope loses its body to it. A
# dead letter whose body is in the object store can be retried for that long.
BODIES_MAX_AGE_SECONDS = 96 * HOUR
POLICIES = "kannon_mta_sts"
WARM_UP = "kannon_warm_up"
WARM_UP_MAX_AGE_SECONDS = 72 * HOUR  # a day (UTC), by every clock
POLICIES_MAX_AGE_SECONDS = 8766 * HOUR  # RFC 8461 §3.2: the longest max_age; using a policy stores it anew


def sending_subject(delivery_id: int) -> str:
    return f"{SENDING}.{delivery_id % SENDING_PARTITIONS}"


def without_partition(subject: str) -> str:
    """`kannon.sending.17` → `kannon.sending`; another subject as it is."""
    return SENDING if subject.startswith(f"{SENDING}.") else subject


# Longer than the time in which a publish is repeated: minutes at most; a process killed with -9 recovers within one.
DUPLICATE_WINDOW_SECONDS = 600.0
ACK_WAIT_SECONDS = 10.0  # heartbeats renew it while a message is in work; the delay after a kill -9
HEARTBEAT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StreamSpec:
    name: str
    subjects: tuple[str, ...]
    retention: RetentionPolicy
    max_msgs: int
    max_age_seconds: float
    discard: DiscardPolicy = DiscardPolicy.NEW
    """NEW: a full stream refuses, and drops no unread mail."""
    restorable: bool = False
    """PostgreSQL can give its messages again: a server that syncs every message need not sync these."""

    def config(self, replicas: int, *, syncs: bool = False) -> StreamConfig:
        # Discard new: a full stream refuses new messages, and drops no unread mail.
        return StreamConfig(
            name=self.name,
            subjects=list(self.subjects),
            retention=self.retention,
            max_msgs=self.max_msgs,
            max_age=self.max_age_seconds,
            discard=self.discard,
            storage=StorageType.FILE,
            duplicate_window=DUPLICATE_WINDOW_SECONDS,
            num_replicas=replicas,
            allow_direct=True,
            persist_mode=self.persist_mode(syncs=syncs),
        )

    def persist_mode(self, *, syncs: bool) -> PersistMode | None:
        return PersistMode.ASYNC if syncs and self.restorable else None


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    stream: str
    name: str
    filter_subjects: tuple[str, ...] = field(default=())

    def config(self) -> ConsumerConfig:
        # max_deliver is unlimited: the retry window ends a delivery, or a handler makes the message a dead letter.
        # max_ack_pending is the stream's own size: messages in a nak delay count too, and must not stop the others.
        return ConsumerConfig(
            durable_name=self.name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            max_deliver=-1,
            max_ack_pending=100_000,
            max_waiting=512,
            filter_subjects=list(self.filter_subjects) or None,
        )


STREAMS = (
    StreamSpec(
        "kannon_sending",
        (SENDING, f"{SENDING}.*"),
        RetentionPolicy.WORK_QUEUE,
        100_000,
        72 * HOUR,
        restorable=True,
    ),
    StreamSpec("kannon_stats", ("kannon.stats.*",), RetentionPolicy.INTEREST, 100_000, 168 * HOUR),
    StreamSpec("kannon_bounce", (BOUNCE,), RetentionPolicy.INTEREST, 10_000, 168 * HOUR),
    StreamSpec("kannon_tls", (TLS_RESULTS,), RetentionPolicy.WORK_QUEUE, 10_000, 72 * HOUR),
    StreamSpec(DEAD_LETTERS_STREAM, ("kannon.parked.*",), RetentionPolicy.LIMITS, 10_000, 720 * HOUR),
)

PING = "kannon.ping"
# Nothing reads it: it shows whether JetStream can store a message.
PING_STREAM = StreamSpec("kannon_ping", (PING,), RetentionPolicy.LIMITS, 1, HOUR, DiscardPolicy.OLD)

SENDER = ConsumerSpec("kannon_sending", "sender")
STATS = ConsumerSpec("kannon_stats", "stats")
OUTCOMES = ConsumerSpec(
    "kannon_stats",
    "dispatcher",
    tuple(STATS_SUBJECTS[t] for t in (EventType.DELIVERED, EventType.BOUNCED, EventType.ERROR)),
)
BOUNCES_DISPATCHER = ConsumerSpec("kannon_bounce", "dispatcher")
BOUNCES_STATS = ConsumerSpec("kannon_bounce", "stats")
TLS_STATS = ConsumerSpec("kannon_tls", "stats")

# Interest retention stores a message only for the consumers that exist when it arrives, so each process makes all of
# them before it publishes, whatever components it runs.
CONSUMERS = (SENDER, STATS, OUTCOMES, BOUNCES_DISPATCHER, BOUNCES_STATS, TLS_STATS)


async def ensure_topology(js: JetStreamContext, *, replicas: int = 1, syncs: bool = False) -> None:
    """Creates what is missing. `syncs`: the server is embedded and syncs every message. Raises OperatorError where what
    exists differs, or cannot have that many replicas."""
    for stream in (*STREAMS, PING_STREAM):
        wanted = stream.config(replicas, syncs=syncs)
        try:
            found = (await js.stream_info(stream.name)).config
            if wanted.persist_mode is not None and found.persist_mode != wanted.persist_mode:
                # The server does not change it. Dispatchers publish again what the stream held, as after its loss.
                log.info("stream made anew: its messages are not synced from now on", stream=stream.name)
                await js.delete_stream(stream.name)
                raise NotFoundError
        except NotFoundError:
            with _too_few_servers(replicas):
                await js.add_stream(wanted)
        else:
            found = await _add_subjects(js, found, wanted)
            _refuse_drift(f"stream {stream.name}", wanted, found, _STREAM_KEYS)
            await _follow_replicas(js, found, replicas)
    for consumer in CONSUMERS:
        declared = consumer.config()
        try:
            existing = (await js.consumer_info(consumer.stream, consumer.name)).config
        except NotFoundError:
            await js.add_consumer(consumer.stream, declared)
        else:
            _refuse_drift(f"consumer {consumer.stream}/{consumer.name}", declared, existing, _CONSUMER_KEYS)
    try:
        store = await js.object_store(BODIES)
    except NotFoundError:
        with _too_few_servers(replicas):
            await js.create_object_store(BODIES, ttl=BODIES_MAX_AGE_SECONDS, replicas=replicas)
    else:
        found = (await store.status()).stream_info.config
        if found.max_age != BODIES_MAX_AGE_SECONDS:  # made by a version whose bodies did not expire
            found = replace(found, max_age=BODIES_MAX_AGE_SECONDS)
            await js.update_stream(found)
        await _follow_replicas(js, found, replicas)
    for name, seconds in ((POLICIES, POLICIES_MAX_AGE_SECONDS), (WARM_UP, WARM_UP_MAX_AGE_SECONDS)):
        try:
            bucket = await js.key_value(name)
        except NotFoundError:
            with _too_few_servers(replicas):
                await js.create_key_value(bucket=name, ttl=seconds, replicas=replicas)
        else:
            await _follow_replicas(js, (await bucket.status()).stream_info.config, replicas)


async def _add_subjects(js: JetStreamContext, found: StreamConfig, wanted: StreamConfig) -> StreamConfig:
    """Of a stream that an older version made; its messages and consumers stay."""
    ours, theirs = wanted.subjects or [], found.subjects or []
    if not set(theirs) < set(ours):
        return found
    found = replace(found, subjects=ours)
    await js.update_stream(found)
    log.info("stream has more subjects", stream=found.name, subjects=ours)
    return found


async def _follow_replicas(js: JetStreamContext, found: StreamConfig, replicas: int) -> None:
    if found.num_replicas != replicas:
        with _too_few_servers(replicas):
            await js.update_stream(replace(found, num_replicas=replicas))
        log.info("stream replicas changed", stream=found.name, before=found.num_replicas, now=replicas)


_NO_ROOM = (10005, 10052, 10074)  # "no suitable peers", "maximum replicas", "not supported in non-clustered mode"


@contextmanager
def _too_few_servers(replicas: int) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        if replicas > 1 and error.err_code in _NO_ROOM:
            raise OperatorError(f"nats.replicas: {replicas} need as many NATS servers: {error.description}") from None
        raise


_STREAM_KEYS = ("subjects", "retention", "max_msgs", "max_age", "discard", "storage", "duplicate_window")
_CONSUMER_KEYS = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "filter_subjects")


def _refuse_drift(what: str, wanted: object, found: object, keys: tuple[str, ...]) -> None:
    for key in keys:
        ours, theirs = _plain(getattr(wanted, key)), _plain(getattr(found, key))
        if ours != theirs:
            raise OperatorError(
                f"NATS {what} has {key} = {theirs}, but Kannon needs {ours}: correct it, or delete it and start again"
            )


def _plain(value: object) -> object:
    if isinstance(value, list):
        return sorted(value)
    return float(value) if isinstance(value, int | float) else value
