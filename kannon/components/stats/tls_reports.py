"""TLS results: stored as they come, and reported once a day to recipients' domains that ask for it (RFC 8460).

In: kannon.tls_results, in pages. Out: one report for each domain and day, by HTTPS or as a mail through Kannon itself.
Order of effects: a report is claimed for a while, sent, and noted as delivered for each of its URIs. A crash in between
repeats it under the same report id, and a mail under the same idempotency key, so that a mail goes out once.
"""

import gzip
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from urllib.parse import unquote, urlsplit

import anyio
import structlog

from kannon.bus.settle import Message
from kannon.db.pool import Database
from kannon.db.tls_reports import (
    TlsReport,
    claim_tls_report,
    delete_old_tls_results,
    insert_tls_results,
    list_tls_results,
    note_delivered,
    settle_tls_report,
)
from kannon.dns_lookup import Lookup
from kannon.errors import CallerError, Poison, Unavailable
from kannon.https_client import HttpsError, Request, call
from kannon.mail.dns.records import Kind
from kannon.mail.tls_report import Reporter, decode_counts, make_report, parse_rua
from kannon.mail.tls_report_mail import ReportMail, make_report_mail
from kannon.outbound.route.addresses import refusal

log = structlog.get_logger()

LOOK_SECONDS = 60.0
POST_SECONDS = 60.0
MAX_RESPONSE_BYTES = 64 << 10
RETRY = timedelta(hours=1)
MAX_ATTEMPTS = 24  # RFC 8460 §5.5: a day
KEPT = timedelta(days=14)

Submit = Callable[[ReportMail], Awaitable[None]]


class NotDelivered(Exception):
    """A URI did not take the report. The message says why."""


async def store_results(db: Database, page: list[Message]) -> None:
    """Stores, then acks. A crash in between costs a redelivery that changes nothing."""
    for message in page:
        page_id, _, payload = message.payload.partition(b"\n")
        try:
            counts = decode_counts(payload)
        except Poison as poison:
            await message.dead_letter(str(poison))
            continue
        await insert_tls_results(db, page_id.decode("ascii", "replace"), counts)
        await message.ack()


class TlsReports:
    """`submit` sends a mail through Kannon. `public_only`: no report goes into the internal network."""

    def __init__(
        self,
        db: Database,
        reporter: Reporter,
        look_up: Lookup,
        submit: Submit,
        *,
        clock: Callable[[], datetime],
        context: ssl.SSLContext,
        public_only: bool = True,
    ) -> None:
        self._db = db
        self._reporter = reporter
        self._look_up = look_up
        self._submit = submit
        self._clock = clock
        self._context = context
        self._public_only = public_only

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.send_due()
                await delete_old_tls_results(self._db, self._clock() - KEPT)
            except Unavailable as error:
                log.warning("cannot send TLS reports; retrying", why=str(error))
            await anyio.sleep(LOOK_SECONDS)

    async def send_due(self) -> int:
        """How many were sent. Raises Unavailable."""
        sent = 0
        while (report := await claim_tls_report(self._db, self._clock())) is not None:
            sent += await self._send(report)
        return sent

    async def _send(self, report: TlsReport) -> bool:
        try:
            uris = parse_rua(await self._look_up(f"_smtp._tls.{report.domain}", Kind.TXT))
        except Unavailable as error:
            await self._retry(report, str(error))
            return False
        if not uris:
            await settle_tls_report(self._db, report, "unwanted")
            return False
        counts = await list_tls_results(self._db, report)
        compressed = gzip.compress(make_report(report.day, report.domain, counts, self._reporter), mtime=0)
        problems = []
        for uri in uris:
            if uri in report.delivered:
                continue
            try:
                await self._deliver(report, uri, compressed)
            except NotDelivered as error:
                problems.append(f"{uri}: {error}")
            else:
                await note_delivered(self._db, report, uri)
        if problems:
            await self._retry(report, "; ".join(problems))
            return False
        await settle_tls_report(self._db, report, "sent")
        log.info("TLS report sent", domain=report.domain, day=report.day.isoformat(), to=uris)
        return True

    async def _retry(self, report: TlsReport, why: str) -> None:
        state = "failed" if report.attempts >= MAX_ATTEMPTS else "due"
        log.info("TLS report not delivered", domain=report.domain, day=report.day.isoformat(), why=why, state=state)
        await settle_tls_report(self._db, report, state, detail=why, next_attempt_at=self._clock() + RETRY)

    async def _deliver(self, report: TlsReport, uri: str, compressed: bytes) -> None:
        """Raises NotDelivered."""
        if uri.lower().startswith("https:"):
            await self._post(uri, compressed)
            return
        recipient = unquote(uri[len("mailto:") :].partition("?")[0])
        mail = make_report_mail(report.day, report.domain, compressed, self._reporter, recipient)
        try:
            await self._submit(mail)
        except (CallerError, ValueError) as error:
            raise NotDelivered(str(error)) from None

    async def _post(self, uri: str, compressed: bytes) -> None:
        """RFC 8460 §5.4."""
        try:
            url = urlsplit(uri)
            host, port = url.hostname or "", url.port or 443
        except ValueError as error:
            raise NotDelivered(str(error)) from None
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = (("Content-Type", "application/tlsrpt+gzip"),)
        request = Request(host, target, "POST", port, headers, compressed)
        problem = f"{host} has no public address"
        try:
            addresses = await self._look_up(host, Kind.ADDRESS)
        except Unavailable as error:
            raise NotDelivered(str(error)) from None
        for address in [each for each in addresses if not (self._public_only and refusal(each))]:
            try:
                response = await call(
                    request, address, self._context, max_bytes=MAX_RESPONSE_BYTES, seconds=POST_SECONDS
                )
            except HttpsError as error:
                problem = str(error)
                continue
            if response.status // 100 == 2:
                return
            raise NotDelivered(f"{host} answered with status {response.status}")
        raise NotDelivered(problem)
