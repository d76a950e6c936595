"""Sends a TLS report as a mail of this installation: a raw message of the contact's domain, signed as any other.

In: a `ReportMail`. Out: a committed batch, one for each key. Raises CallerError or Unavailable; then nothing is stored.
"""

import hashlib
from dataclasses import dataclass

from kannon.accept.limiter import SendLimiter
from kannon.accept.service import AcceptService, Notifier
from kannon.db.api_keys import find_tenant_of_domain
from kannon.db.pool import Database
from kannon.errors import AlreadyExists, FailedPrecondition, NotFound
from kannon.mail.batch import Content, Recipient
from kannon.mail.send_request import Limits, RawOptions, SendRequest
from kannon.mail.tls_report_mail import ReportMail
from kannon.mail.tracking import TrackingMode, TrackingPolicy
from kannon.wire.sends import SendResCodec

TAG = "tlsrpt"


@dataclass(frozen=True, slots=True)
class _Source:
    """kannon.mail.send_request.Source."""

    mail: ReportMail

    def size(self) -> int:
        return len(self.mail.message)

    def digest(self) -> bytes:
        return hashlib.sha256(self.mail.key.encode()).digest()


class Submitter:
    def __init__(self, db: Database, limits: Limits, notifier: Notifier) -> None:
        self._db = db
        self._service = AcceptService(db, limits, notifier, SendResCodec(), SendLimiter())

    async def submit(self, mail: ReportMail) -> None:
        domain = mail.sender.rpartition("@")[2]
        tenant = await find_tenant_of_domain(self._db, domain)
        if tenant is None:
            raise NotFound(f"tlsrpt.contact: no domain {domain}: kannon domains add {domain}")
        request = SendRequest(
            content=Content(sender_email="", subject="", raw=mail.message),
            recipients=[Recipient(mail.recipient)],
            source=_Source(mail),
            tracking=TrackingPolicy(TrackingMode.OFF, TrackingMode.OFF),
            idempotency_key=hashlib.sha256(mail.key.encode()).hexdigest(),
            raw=RawOptions(),
            tag=TAG,
        )
        try:
            result = await self._service.accept(tenant, request)
        except AlreadyExists:
            return  # by a process that ended before it noted this
        if not result.accepted_count:
            raise FailedPrecondition(f"{mail.recipient}: {', '.join(each.reason for each in result.rejected)}")
