"""Accepts recipients and stores messages.

In: an address at RCPT, a whole message after the dot. Out: a Recipient or None; events on the bus, files in the
postmaster's mailbox, and in the database what reports to dmarc@ and tlsrpt@ say. Of bounce addresses, only a signed,
unexpired one of a known delivery is accepted, so the sender of a report has seen the mail it reports on.
Order of effects: read, store in the Maildir and the database, publish (acknowledged), and only then 250. A crash in
between costs a repetition by the remote server, whose event has the same id: the bus and the statistics keep one, and
the database keeps one of each DMARC or TLS report.
"""

import re
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
from kannon.mail.reports.read import MAILBOXES as REPORT_MAILBOXES
from kannon.mail.reports.read import read_report as read_received_report
from kannon.mail.reports.report import DmarcReport, ReceivedTlsReport, UnreadableReport
from kannon.metrics.names import SessionResult
from kannon.metrics.null_metrics import NULL_METRICS

log = structlog.get_logger()

OWN_MAILBOXES = frozenset({"postmaster", "abuse"})  # RFC 5321 §4.5.1, RFC 2142 §4
INLINE_BYTES = 16 << 10  # parsing less takes under 2 ms; more is parsed in a thread
_BOUNCE_ADDRESS = re.compile(rb"\bb-[0-9a-f]{56}@[0-9a-z.-]{1,253}", re.IGNORECASE)  # kannon.mail.bounce.address
MAX_COMPLAINED = 5  # mails that one complaint encloses
READERS = 2  # reports of DMARC and TLS at once: one may have 16 MiB when it is unpacked
OLDEST = timedelta(days=7)  # RFC 5321 §4.5.4.1: servers keep mail for four to five days before they report
SKEW = timedelta(hours=1)
SECRETS_SECONDS = 60.0
FRESH_SECONDS = 1.0


class DeliveryRef(Protocol):
    """The delivery of an id."""

    @property
    def domain(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def email(self) -> str: ...


class Registry(Protocol):
    """The database. Each method may raise Unavailable."""

    async def find_delivery(self, delivery_id: int) -> DeliveryRef | None: ...
    async def bounce_secrets(self) -> Sequence[bytes]: ...
    async def is_tenant_domain(self, domain: str) -> bool: ...
    async def has_room_for_report(self, domain: str) -> bool: ...
    async def store_report(self, domain: str, report: DmarcReport | ReceivedTlsReport) -> bool: ...


class Metrics(Protocol):
    def reported(self, kind: str) -> None: ...
    def report_read(self, result: str) -> None: ...
    def session_ended(self, result: SessionResult) -> None: ...


class EventPublisher(Protocol):
    """The bus. Events are stored on return; those with a known id are dropped. Raises Unavailable."""

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


@dataclass(frozen=True, slots=True)
class ReportsRecipient:
    """Takes DMARC and TLS reports about `domain`."""

    address: str
    domain: str


Recipient = BounceRecipient | PostmasterRecipient | ReportsRecipient


class TooManyReports(Exception):
    """A domain has as many of today as it can have."""


class MailHandler:
    """`hostname` is this host's: its postmaster, or postmaster without a domain, is a recipient too."""

    def __init__(
        self,
        registry: Registry,
        publisher: EventPublisher,
        mailbox: PostmasterMailbox,
        hostname: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self._registry = registry
        self._publisher = publisher
        self._mailbox = mailbox
        self._hostname = hostname.lower()
        self._now = now
        self._metrics = metrics
        self._reading = anyio.CapacityLimiter(READERS)
        self._secrets: Sequence[bytes] = ()
        self._secrets_at = -SECRETS_SECONDS

    async def find_recipient(self, address: str) -> Recipient | None:
        """None: reject the address. Raises Unavailable when that cannot be decided now."""
        local, _, domain = address.lower().rpartition("@")
        if not local:
            local, domain = domain, self._hostname
        if not domain.isascii():
            try:
                domain = canonical_domain(domain)  # RFC 6531 §3.7.1: U-labels; bytes that are not UTF-8 fail
            except ValueError:
                return None
        if local in OWN_MAILBOXES:
            known = domain == self._hostname or await self._registry.is_tenant_domain(domain)
            return PostmasterRecipient(address) if known else None
        if local in REPORT_MAILBOXES and await self._registry.is_tenant_domain(domain):
            return ReportsRecipient(address, domain)
        delivery_id = await self._verify(local, domain)
        if delivery_id is None:
            return None
        ref = await self._registry.find_delivery(delivery_id)
        if ref is None or ref.domain != domain:
            return None
        return BounceRecipient(address, delivery_id, ref)

    async def _verify(self, local: str, domain: str) -> int | None:
        """The delivery id of a valid signature. Secrets are cached: forgeries cause at most one query a second."""
        for max_age in (SECRETS_SECONDS, FRESH_SECONDS):
            if time.monotonic() - self._secrets_at >= max_age:
                self._secrets = await self._registry.bounce_secrets()
                self._secrets_at = time.monotonic()
            delivery_id = parse_bounce_address(local, domain, self._secrets, self._now())
            if delivery_id is not None:
                return delivery_id
        return None

    async def store(self, recipients: Sequence[Recipient], mail_from: str, peer: str, content: bytes) -> None:
        """Everything is durable on return. Raises Unavailable (451), MailboxFull or TooManyReports (452), or
        UnreadableReport (554) where no other recipient takes the mail; a part may be stored then."""
        for domain, received in await self._read_reports(recipients, peer, content):
            await self._store_report(domain, received, peer)
        mailboxes = [recipient for recipient in recipients if isinstance(recipient, PostmasterRecipient)]
        for recipient in mailboxes:
            mail = self._trace(recipient.address, mail_from, peer) + content
            await anyio.to_thread.run_sync(self._mailbox.deliver, mail)
            log.info("mail stored for the postmaster", recipient=recipient.address, peer=peer)
        bounces = [recipient for recipient in recipients if isinstance(recipient, BounceRecipient)]
        if not bounces:
            if mailboxes and (report := await self._read_complaint(content)) is not None:
                await self._publish(*report, peer)
            return
        raw = b"Return-Path: <>\r\n" + content if mail_from == "<>" else content  # RFC 3464 §2: a report has none
        await self._publish(await _read(raw), bounces, peer)

    async def _read_reports(
        self, recipients: Sequence[Recipient], peer: str, content: bytes
    ) -> list[tuple[str, DmarcReport | ReceivedTlsReport]]:
        """All are read before any is stored, so that a refused mail leaves nothing behind."""
        found = []
        domains = dict.fromkeys(each.domain for each in recipients if isinstance(each, ReportsRecipient))
        for domain in domains:
            if not await self._registry.has_room_for_report(domain):
                raise TooManyReports
            try:
                report = await anyio.to_thread.run_sync(
                    read_received_report, content, domain, self._now(), limiter=self._reading
                )
            except UnreadableReport as error:
                log.warning("report refused", domain=domain, peer=peer, reason=str(error))
                self._metrics.report_read("refused")
                if all(isinstance(each, ReportsRecipient) for each in recipients) and len(domains) == 1:
                    raise
                continue
            found.append((domain, report))
        return found

    async def _store_report(self, domain: str, report: DmarcReport | ReceivedTlsReport, peer: str) -> None:
        kind = "dmarc" if isinstance(report, DmarcReport) else "tls"
        new = await self._registry.store_report(domain, report)
        self._metrics.report_read(kind if new else "known")
        log.info(
            "DMARC report read" if kind == "dmarc" else "TLS report read",
            domain=domain,
            reporter=report.reporter,
            report=report.report_id,
            day=report.span.day.isoformat(),
            records=len(report.records),
            new=new,
            peer=peer,
        )

    async def _read_complaint(self, content: bytes) -> tuple[Report, list[BounceRecipient]] | None:
        """A feedback loop sends all complaints to one address, such as abuse@. Its report encloses the mail, whose
        bounce address is as good a proof as one at RCPT."""
        addresses = list(dict.fromkeys(each.lower() for each in _BOUNCE_ADDRESS.findall(content)))[:MAX_COMPLAINED]
        if not addresses:
            return None
        report = await _read(content)
        if report.kind is not ReportKind.COMPLAINT:
            return None
        found = [await self.find_recipient(each.decode("ascii")) for each in addresses]
        recipients = [each for each in found if isinstance(each, BounceRecipient)]
        return (report, recipients) if recipients else None

    async def _publish(self, report: Report, recipients: Sequence[BounceRecipient], peer: str) -> None:
        self._metrics.reported(report.kind.value)
        events = {}
        for recipient in recipients:
            event = report_event(report, recipient.delivery_id, recipient.ref, self._now())
            log.info(
                "report received",
                kind=report.kind,
                batch=recipient.ref.message_id,
                delivery=recipient.delivery_id,
                domain=recipient.ref.domain,
                recipient=recipient.ref.email,
                code=report.code,
                peer=peer,
            )
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


async def _read(raw: bytes) -> Report:
    if len(raw) <= INLINE_BYTES:
        return read_report(raw)
    return await anyio.to_thread.run_sync(read_report, raw)


def report_event(report: Report, delivery_id: int, ref: DeliveryRef, now: datetime) -> Event | None:
    """A failure is `bounced`, a complaint `complained`; None for everything else.

    A delivery has one id for its bounces by report and one for its complaints, whatever the reports say: the first one
    counts. The id cannot collide with the sender's `<delivery>.<attempt>.bounced`. The time is the report's own Date
    where that is plausible.
    """
    match report.kind:
        case ReportKind.FAILURE:
            event_type = EventType.BOUNCED
        case ReportKind.COMPLAINT:
            event_type = EventType.COMPLAINED
        case _:
            return None
    return Event(
        event_id=f"{delivery_id}.report.{event_type}",
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
