"""The inbound SMTP server in a test: database and bus in memory, and a peer that speaks line by line."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from kannon.components.smtp import EventPublisher, InboundSmtp, Limits, Registry
from kannon.components.smtp.handler import Metrics
from kannon.config import Smtp
from kannon.errors import Unavailable
from kannon.mail.bounce.address import make_bounce_address
from kannon.mail.event import Event
from kannon.mail.reports.report import DmarcReport, ReceivedTlsReport
from kannon.metrics.null_metrics import NULL_METRICS
from tests.support.patience import patience

SECRET = b"s" * 32
DOMAIN = "tenant.example"
HOSTNAME = "mx.tenant.example"
FAILURE = (
    b"From: MAILER-DAEMON@mx.remote.example\r\nDate: Tue, 02 Jan 2024 03:04:05 +0000\r\n"
    b"Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.remote.example\r\n\r\n"
    b"Final-Recipient: rfc822; user@remote.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\r\n--b--\r\n"
)
DELAYED = FAILURE.replace(b"Action: failed", b"Action: delayed").replace(b"5.1.1", b"4.2.2").replace(b"550", b"452")
TRANSIENT = FAILURE.replace(b"5.1.1", b"4.2.2").replace(b"550", b"452")
VACATION = b"From: user@remote.example\r\nAuto-Submitted: auto-replied\r\nSubject: Out of office\r\n\r\nI am away.\r\n"
COMPLAINT = (
    b"From: fbl@remote.example\r\nSubject: complaint\r\n"
    b'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n\r\n--b--\r\n"
)


@dataclass(frozen=True)
class Ref:
    domain: str
    message_id: str
    email: str


@dataclass
class Book:
    """The database, in memory. Deliveries 1 to 999 exist."""

    down: bool = False
    asked_secrets: int = 0
    domain: str = DOMAIN
    full: bool = False
    reports: list[tuple[str, DmarcReport | ReceivedTlsReport]] = field(default_factory=list)

    async def find_delivery(self, delivery_id: int) -> Ref | None:
        self._check()
        if not 1 <= delivery_id <= 999:
            return None
        return Ref(self.domain, f"msg_1@{self.domain}", f"user{delivery_id}@remote.example")

    async def bounce_secrets(self) -> Sequence[bytes]:
        self._check()
        self.asked_secrets += 1
        return [SECRET]

    async def is_tenant_domain(self, domain: str) -> bool:
        self._check()
        return domain == self.domain

    async def has_room_for_report(self, domain: str) -> bool:
        self._check()
        return not self.full

    async def store_report(self, domain: str, report: DmarcReport | ReceivedTlsReport) -> bool:
        self._check()
        new = (domain, report) not in self.reports
        self.reports.append((domain, report))
        return new

    def _check(self) -> None:
        if self.down:
            raise Unavailable("PostgreSQL: away")


@dataclass
class Outbox:
    """The bus, in memory; it stores each id once. A test can take it down, wholly or in part, or let it never
    answer."""

    down: bool = False
    events_down: bool = False
    silent: bool = False
    bounces: dict[str, Event] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    published: int = 0

    async def publish_bounces(self, events: Sequence[Event]) -> None:
        await self._store(self.bounces, events, self.down)

    async def publish_events(self, events: Sequence[Event]) -> None:
        await self._store(self.events, events, self.down or self.events_down)

    async def _store(self, where: dict[str, Event], events: Sequence[Event], down: bool) -> None:
        if self.silent:
            await anyio.sleep_forever()
        if down:
            raise Unavailable("NATS: not connected")
        self.published += len(events)
        for event in events:
            where.setdefault(event.event_id, event)


class Peer:
    """One connection, line by line. `closed` waits until the server closes it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def reply(self) -> str:
        """The next reply, its lines joined; "" when the server has closed the connection."""
        lines: list[str] = []
        while True:
            while b"\r\n" not in self._buffer:
                try:
                    self._buffer += await self._stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return "\n".join(lines)
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            lines.append(line.decode())
            if line[3:4] != b"-":
                return "\n".join(lines)

    async def say(self, text: str | bytes) -> str:
        await self.write(text if isinstance(text, bytes) else text.encode() + b"\r\n")
        return await self.reply()

    async def write(self, data: bytes) -> None:
        await self._stream.send(data)

    async def closed(self) -> bool:
        """Waits for the end of the connection and drops the data before it."""
        while await self.reply():
            pass
        return True

    async def trickle(self, byte: bytes, pause: float = 0.02) -> str:
        """Sends one byte after another until the server replies or closes the connection; returns the reply."""
        said: list[str] = []

        async def listen(scope: anyio.CancelScope) -> None:
            said.append(await self.reply())
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(listen, group.cancel_scope)
            while True:
                try:
                    await self._stream.send(byte)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    break
                with anyio.move_on_after(pause):
                    await anyio.sleep_forever()
        return said[0] if said else ""

    async def start_tls(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._stream = await TLSStream.wrap(
            self._stream, server_side=False, ssl_context=context, standard_compatible=False
        )

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def send_mail(self, recipients: Sequence[str], content: bytes, *, ends: bytes = b"\r\n.\r\n") -> str:
        """One whole transaction; the reply to the dot, or the first refusal."""
        for line in ("MAIL FROM:<>", *(f"RCPT TO:<{recipient}>" for recipient in recipients), "DATA"):
            reply = await self.say(line)
            if reply[:1] not in "23":
                return reply
        stuffed = content.removesuffix(b"\r\n").replace(b"\r\n.", b"\r\n..")
        return await self.say(stuffed + ends)


@dataclass
class Running:
    component: InboundSmtp
    book: Book
    outbox: Outbox
    data_dir: Path
    stop: anyio.Event

    @property
    def port(self) -> int:
        return self.component.addresses[0][1]

    @asynccontextmanager
    async def connect(self, *, greet: bool = True) -> AsyncIterator[Peer]:
        """Connected and, with `greet`, past EHLO. All of it has ten seconds."""
        with patience():
            async with await anyio.connect_tcp(self.component.addresses[0][0], self.port) as stream:
                peer = Peer(stream)
                if greet:
                    assert (await peer.reply()).startswith("220 ")
                    assert (await peer.say("EHLO remote.example")).startswith("250")
                yield peer


@asynccontextmanager
async def running(
    data_dir: Path,
    *,
    limits: Limits | None = None,
    tls: tuple[str, str] = ("", ""),
    listen: str = "127.0.0.1:0",
    registry: Registry | None = None,
    publisher: EventPublisher | None = None,
    metrics: Metrics = NULL_METRICS,
) -> AsyncIterator[Running]:
    book, outbox, stop = Book(), Outbox(), anyio.Event()
    config = Smtp(listen=listen, hostname=HOSTNAME, tls_cert=tls[0], tls_key=tls[1])
    component = InboundSmtp(config, data_dir, registry or book, publisher or outbox, limits, metrics)
    async with anyio.create_task_group() as group:
        await group.start(lambda *, task_status: component.run(stop, task_status=task_status))
        yield Running(component, book, outbox, data_dir, stop)
        group.cancel_scope.cancel()


def bounce_to(delivery_id: int = 1, domain: str = DOMAIN, *, days: float = 30, secret: bytes = SECRET) -> str:
    return make_bounce_address(delivery_id, domain, secret, datetime.now(UTC) + timedelta(days=days))
