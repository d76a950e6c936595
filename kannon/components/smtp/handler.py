"""Who may be written to, and what becomes of a mail.

In: an address at RCPT, a whole mail after the dot. Out: a Recipient or the reply that refuses it; events on the bus
and files of the postmaster. Strangers can invent nothing: only a signed, unexpired bounce address of a known delivery
is accepted, so whoever writes a report has seen the mail it reports on.
Order of effects: read, store in the Maildir, publish (acknowledged), and only then 250. A crash in between costs a
repetition by the remote server: the same report makes the same event id, and the bus drops it.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Protocol

import anyio.to_thread
import structlog

from kannon.components.smtp.postmaster import PostmasterMailbox
from kannon.mail.address import canonical_domain
from kannon.mail.bounce import Report, ReportKind, read_report
from kannon.mail.bounce.address import parse_bounce_address
from kannon.mail.event import REPORT, Event, EventType
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

OWN_MAILBOXES = frozenset({"postmaster", "abuse"})  # RFC 5321 §4.5.1, RFC 2142 §4
INLINE_BYTES = 16 << 10  # reading less than this takes under 2 ms; more goes to a thread
OLDEST = timedelta(days=7)  # RFC 5321 §4.5.4.1: servers hold mail for four to five days before they report
SKEW = timedelta(hours=1)
SECRETS_SECONDS = 60.0
FRESH_SECONDS = 1.0


class DeliveryRef(Protocol):
    """Whose delivery an id is."""

    @property
    def domain(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def email(self) -> str: ...


class Registry(Protocol):
    """What is asked of the database. Each may raise Unavailable."""

    async def find_delivery(self, delivery_id: int) -> DeliveryRef | None: ...
    async def bounce_secrets(self) -> Sequence[bytes]: ...
    async def is_tenant_domain(self, domain: str) -> bool: ...


class Meter(Protocol):
    def reported(self, kind: str) -> None: ...


class EventPublisher(Protocol):
    """What is asked of the bus: stored when they return, dropped when the id is known; Unavailable otherwise."""

    async def publish_events(self, events: Sequence[Event]) -> None: ...
    async def publish_bounces(self, events: Sequence[Event]) -> None: ...


@dataclass(frozen=True, slots=True)
class BounceRecipient:
    address: str
    delivery_id: int
    ref: DeliveryRef


@dataclass(frozen=True, slots=True)
class PostmasterRecipient:
    address: str


Recipient = BounceRecipient | PostmasterRecipient


class MailHandler:
    """`hostname` is ours: postmaster there, or without any domain, is the postmaster too."""

    def __init__(
        self,
        registry: Registry,
        publisher: EventPublisher,
        mailbox: PostmasterMailbox,
        hostname: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        meter: Meter = NULL_METRICS,
    ) -> None:
        self._registry = registry
        self._publisher = publisher
        self._mailbox = mailbox
        self._hostname = hostname.lower()
        self._now = now
        self._meter = meter
        self._secrets: Sequence[bytes] = ()
        self._secrets_at = -SECRETS_SECONDS

    async def find_recipient(self, address: str) -> Recipient | None:
        """None: refuse it for good. Raises Unavailable: nobody knows at present."""
        local, _, domain = address.lower().rpartition("@")
        if not local:
            local, domain = domain, self._hostname
        if not domain.isascii():
            try:
                domain = canonical_domain(domain)  # RFC 6531 §3.7.1: U-labels; bytes that are no text are none
            except ValueError:
                return None
        if local in OWN_MAILBOXES:
            known = domain == self._hostname or await self._registry.is_tenant_domain(domain)
            return PostmasterRecipient(address) if known else None
        delivery_id = await self._verify(local, domain)
        if delivery_id is None:
            return None
        ref = await self._registry.find_delivery(delivery_id)
        if ref is None or ref.domain != domain:
            return None
        return BounceRecipient(address, delivery_id, ref)

    async def _verify(self, local: str, domain: str) -> int | None:
        """The delivery id of a good signature. Secrets are cached; a flood of forgeries asks for them once a second."""
        for max_age in (SECRETS_SECONDS, FRESH_SECONDS):
            if time.monotonic() - self._secrets_at >= max_age:
                self._secrets = await self._registry.bounce_secrets()
                self._secrets_at = time.monotonic()
            delivery_id = parse_bounce_address(local, domain, self._secrets, self._now())
            if delivery_id is not None:
                return delivery_id
        return None

    async def take(self, recipients: Sequence[Recipient], mail_from: str, peer: str, content: bytes) -> None:
        """Everything is durable when it returns. Raises Unavailable or MailboxFull: nothing is certain, say 451/452."""
        kept = [recipient for recipient in recipients if isinstance(recipient, PostmasterRecipient)]
        for recipient in kept:
            mail = self._trace(recipient.address, mail_from, peer) + content
            await anyio.to_thread.run_sync(self._mailbox.deliver, mail)
            log.info("kept for the postmaster", recipient=recipient.address, peer=peer)
        bounces = [recipient for recipient in recipients if isinstance(recipient, BounceRecipient)]
        if not bounces:
            return
        raw = b"Return-Path: <>\r\n" + content if mail_from == "<>" else content  # RFC 3464 §2: a report has none
        if len(raw) <= INLINE_BYTES:
            report = read_report(raw)
        else:
            report = await anyio.to_thread.run_sync(read_report, raw)
        await self._publish(report, bounces, peer)
        self._meter.reported(report.kind.value)

    async def _publish(self, report: Report, recipients: Sequence[BounceRecipient], peer: str) -> None:
        events = {}
        for recipient in recipients:
            event = report_event(report, recipient.delivery_id, recipient.ref, self._now())
            log.info("report", kind=report.kind, delivery=recipient.delivery_id, code=report.code, peer=peer)
            if event is not None:
                events[event.event_id] = event
        bounced = [event for event in events.values() if event.type is EventType.BOUNCED]
        if bounced:
            await self._publisher.publish_bounces(bounced)
        if events:
            await self._publisher.publish_events(list(events.values()))

    def _trace(self, address: str, mail_from: str, peer: str) -> bytes:
        """RFC 5321 §4.4: final delivery adds Return-Path and Received."""
        reverse_path = mail_from if mail_from.startswith("<") else f"<{mail_from}>"
        text = (
            f"Return-Path: {reverse_path}\r\nDelivered-To: {address}\r\n"
            f"Received: from [{peer}]\r\n\tby {self._hostname} with ESMTP\r\n\tfor <{address}>;"
            f" {format_datetime(self._now())}\r\n"
        )
        return text.encode("utf-8", "replace")


def report_event(report: Report, delivery_id: int, ref: DeliveryRef, now: datetime) -> Event | None:
    """A failure is `bounced`, a complaint `complained`; None for everything else.

    The id is drawn from what the report says, not from its bytes: a replay, whatever new Received lines it carries,
    is the same event. It cannot collide with the sender's `<delivery>.<attempt>.bounced`. The time is the report's own
    Date where that can be true: the statistics know an event by its id and time, and a replay may come days later.
    """
    match report.kind:
        case ReportKind.FAILURE:
            event_type = EventType.BOUNCED
        case ReportKind.COMPLAINT:
            event_type = EventType.COMPLAINED
        case _:
            return None
    said = f"{report.permanent}\n{report.code}\n{report.enhanced_status}\n{report.recipient}\n{report.text}"
    digest = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:16]
    return Event(
        event_id=f"{delivery_id}.report.{digest}.{event_type}",
        type=event_type,
        domain=ref.domain,
        message_id=ref.message_id,
        email=ref.email,
        at=report.sent_at if report.sent_at and now - OLDEST <= report.sent_at <= now + SKEW else now,
        delivery_id=delivery_id,
        permanent=report.permanent,
        code=report.code,
        enhanced_status=report.enhanced_status,
        text=report.text,
        stage=REPORT,
        host=report.host,
    )
