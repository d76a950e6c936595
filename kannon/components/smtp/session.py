"""One inbound connection: a kannon.smtp_server session that takes reports and mail to the postmaster.

In: recipients and messages. Out: replies; a message goes to the MailHandler, and 250 is sent once it is stored.
"""

from typing import cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from kannon.components.smtp.handler import MailHandler, TooManyReports
from kannon.components.smtp.hops import count_hops
from kannon.components.smtp.postmaster import MailboxFull
from kannon.errors import Unavailable
from kannon.mail.reports.report import UnreadableReport
from kannon.metrics.names import SessionResult
from kannon.smtp_server import ServerSession, Shared
from kannon.smtp_server.dialogue import Transaction
from kannon.smtp_server.session import OnSession

log = structlog.get_logger()


class InboundSession(ServerSession):
    """It is proven by a recipient that was accepted, which takes a signed address or one that is ours."""

    def __init__(self, shared: Shared, handler: MailHandler, on_progress: OnSession, on_close: OnSession) -> None:
        super().__init__(shared, on_progress, on_close)
        self._handler = handler

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        transaction = cast(Transaction, envelope)
        if len(transaction.recipients) >= self._limits.max_recipients:
            return "452 4.5.3 Too many recipients"
        try:
            recipient = await self._handler.find_recipient(address)
        except Unavailable as error:
            log.warning("cannot look up recipient", peer=self.peer, reason=str(error))
            self.note(SessionResult.DEFERRED)
            return "451 4.3.0 Not able to look that up now, try again later"
        if recipient is None:
            log.info("recipient rejected", peer=self.peer)
            self.note(SessionResult.REJECTED)
            return "550 5.1.1 No such address here"
        transaction.recipients.append(recipient)
        transaction.rcpt_tos.append(address)
        self._on_progress(self)
        return "250 2.1.5 OK"

    async def store(self, transaction: Transaction, content: bytes) -> str:
        if count_hops(content) > self._limits.max_received:
            self.note(SessionResult.REJECTED)
            return "554 5.4.6 Too many hops"  # RFC 5321 §6.3
        try:
            await self._handler.store(transaction.recipients, transaction.mail_from or "<>", self.peer, content)
        except UnreadableReport as error:
            self.note(SessionResult.REJECTED)
            return f"554 5.6.0 {error}"  # RFC 3463 §3.7: media error
        except TooManyReports:
            log.warning("too many reports of today", peer=self.peer)
            self.note(SessionResult.DEFERRED)
            return "452 4.3.1 Enough reports for today"
        except MailboxFull:
            log.warning("postmaster mailbox is full", peer=self.peer)
            self.note(SessionResult.DEFERRED)
            return "452 4.3.1 Mailbox full"
        except Unavailable as error:
            log.warning("cannot store message", peer=self.peer, reason=str(error))
            self.note(SessionResult.DEFERRED)
            return "451 4.3.0 Not able to store it now, try again later"
        self.note(SessionResult.STORED)
        self._on_progress(self)
        return "250 2.0.0 OK"
