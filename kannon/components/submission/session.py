"""One connection of an application: a kannon.smtp_server session that logs in and submits messages (RFC 6409).

In: AUTH, recipients and messages. Out: replies; a message goes to the AcceptService, and 250 with its batch is sent
once it is committed. No AUTH without TLS unless the peer is on this machine, and no MAIL without AUTH.
"""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol, cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from kannon.components.submission.login import Authenticator, Login
from kannon.components.submission.replies import error_reply, rejection_reply
from kannon.components.submission.steering import to_request
from kannon.errors import KannonError, LimitExceeded, PermissionDenied, Unauthenticated, Unavailable
from kannon.mail.send_request import RejectReason, SendRequest, SendResult, Tenant
from kannon.metrics.names import SessionResult
from kannon.peers import LOOPBACK, peer_key
from kannon.smtp_server import ServerSession, Shared
from kannon.smtp_server.dialogue import Ended, Transaction
from kannon.smtp_server.session import OnSession

MAX_AUTH_LINE = 12_288  # RFC 4954 §4
MAX_FAILED_LOGINS = 3  # of one connection
_IGNORED = frozenset({"RET", "ENVID", "NOTIFY", "ORCPT", "AUTH"})
"""Parameters of RFC 3461, whose reports Kannon sends as events, and RFC 4954 §5."""
log = structlog.get_logger()


class Accept(Protocol):
    """kannon.accept.service.AcceptService."""

    async def accept(self, tenant: Tenant, request: SendRequest) -> SendResult: ...
    async def check_recipient(self, tenant: Tenant, email: str) -> RejectReason | None: ...


@dataclass(frozen=True, slots=True)
class Services:
    accept: Accept
    authenticator: Authenticator


class SubmissionSession(ServerSession):
    """It is proven by its login."""

    def __init__(self, shared: Shared, services: Services, on_progress: OnSession, on_close: OnSession) -> None:
        super().__init__(shared, on_progress, on_close)
        self._services = services
        self._login: Login | None = None
        self._failed_logins = 0
        # aiosmtpd refuses longer commands.
        self.command_size_limits["AUTH"] = MAX_AUTH_LINE
        self.command_size_limits["MAIL"] = self.command_size_limits["RCPT"] = 2048  # with the parameters of RFC 3461 §5

    def forget_client(self) -> None:
        self._login = None

    @property
    def is_proven(self) -> bool:
        return self._login is not None

    @property
    def _may_authenticate(self) -> bool:
        return self._tls_protocol is not None or peer_key(self.peer) == LOOPBACK

    def further_extensions(self) -> list[str]:
        return ["250-PIPELINING", *(["250-AUTH PLAIN LOGIN"] if self._may_authenticate else [])]

    # AUTH (RFC 4954)

    async def smtp_AUTH(self, arg: str | None) -> None:
        if await self.check_helo_needed("EHLO"):
            return
        if self._login is not None:
            await self.push("503 5.5.1 Already authenticated")
        elif self.in_transaction:
            await self.push("503 5.5.1 AUTH is not permitted during a transaction")
        elif not self._may_authenticate:
            await self.push("538 5.7.11 Encryption required: STARTTLS first")
        else:
            await self._log_in(arg or "")

    async def _log_in(self, arg: str) -> None:
        mechanism, _, initial = arg.partition(" ")
        match mechanism.upper():
            case "PLAIN":
                response = _decode(initial) if initial else await self._ask("")
                credentials = _plain(response)
            case "LOGIN":
                user = _decode(initial) if initial else await self._ask("VXNlcm5hbWU6")  # Username:
                password = await self._ask("UGFzc3dvcmQ6") if user is not None else None  # Password:
                credentials = None if user is None or password is None else (user, password)
            case _:
                await self.push("504 5.5.4 Mechanism not supported: PLAIN or LOGIN")
                return
        if credentials is None:
            await self.push("501 5.5.2 Authentication cancelled, or not base64")
            return
        try:
            self._login = await self._services.authenticator.log_in(*credentials, self.peer)
        except Unavailable as error:
            log.warning("cannot look up an API key", peer=self.peer, reason=str(error))
            await self.push("454 4.7.0 Not able to look that up now, try again later")
            return
        except (Unauthenticated, PermissionDenied) as error:
            await self._refuse_login(str(error))
            return
        self._on_progress(self)
        await self.push("235 2.7.0 Authentication succeeded")

    async def _refuse_login(self, reason: str) -> None:
        self.note(SessionResult.REJECTED)
        self._failed_logins += 1
        if self._failed_logins >= MAX_FAILED_LOGINS:
            self.end(f"421 4.7.0 Too many failed logins: {reason}")
            raise Ended
        await self.push(f"535 5.7.8 {reason}")

    async def _ask(self, challenge: str) -> str | None:
        """None: cancelled, or not base64."""
        await self.push(f"334 {challenge}")
        self.restart_timer()
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            self.end("500 5.5.6 Authentication line is too long")
            raise Ended from None
        if len(line) > MAX_AUTH_LINE:
            self.end("500 5.5.6 Authentication line is too long")
            raise Ended
        return _decode(line.decode("ascii", "replace").strip())

    async def check_auth_needed(self, caller_method: str) -> bool:
        if self._login is None:
            await self.push("530 5.7.0 Authentication required")
            return True
        return False

    # The transaction

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        return super()._getparams([each for each in params if each.partition("=")[0] not in _IGNORED])

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        login = self._login
        if login is None:
            return "530 5.7.0 Authentication required"
        try:
            await self._services.authenticator.refresh(login, self.peer)
        except KannonError as error:
            return self._refuse(error)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        transaction, login = cast(Transaction, envelope), self._login
        if login is None:
            return "530 5.7.0 Authentication required"
        if address in transaction.recipients:
            return "250 2.1.5 OK, once"
        if len(transaction.recipients) >= self._limits.max_recipients:
            return "452 4.5.3 Too many recipients"
        try:
            reason = await self._services.accept.check_recipient(login.tenant, address)
        except KannonError as error:
            return self._refuse(error)
        if reason is RejectReason.DUPLICATE:
            return "250 2.1.5 OK, once"
        if reason is not None:
            self.note(SessionResult.REJECTED)
            return rejection_reply(reason)
        transaction.recipients.append(address)
        transaction.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def store(self, transaction: Transaction, content: bytes) -> str:
        if self._login is None:
            return "530 5.7.0 Authentication required"
        utf8 = bool(transaction.smtp_utf8)
        try:
            request = to_request(content, transaction.recipients, smtputf8=utf8, trace=self._trace(utf8))
            result = await self._services.accept.accept(self._login.tenant, request)
        except KannonError as error:
            return self._refuse(error)
        if not result.accepted_count and result.rejected:
            self.note(SessionResult.REJECTED)
            return rejection_reply(result.rejected[0].reason)
        self.note(SessionResult.STORED)
        self._on_progress(self)
        return f"250 2.0.0 accepted as {result.message_id}"

    def _refuse(self, error: KannonError) -> str:
        passing = isinstance(error, Unavailable | LimitExceeded)
        self.note(SessionResult.DEFERRED if passing else SessionResult.REJECTED)
        log.info("submission refused", peer=self.peer, reason=str(error))
        return error_reply(error)

    def _trace(self, utf8: bool) -> bytes:
        """RFC 5321 §4.4, RFC 3848, RFC 6531 §4.3. The name in EHLO is the client's own word."""
        name = self.session.host_name if self.session is not None and self.session.host_name else "unknown"
        name = "".join(c for c in str(name) if c.isascii() and (c.isalnum() or c in ".-_[]:"))[:255] or "unknown"
        literal = f"[IPv6:{self.peer}]" if ":" in self.peer else f"[{self.peer}]"
        protocol = ("UTF8SMTP" if utf8 else "ESMTP") + ("SA" if self._tls_protocol is not None else "A")
        text = (
            f"Received: from {name} ({literal})\r\n\tby {self.hostname} with {protocol};\r\n"
            f"\t{format_datetime(datetime.now(UTC))}\r\n"
        )
        return text.encode("ascii", "replace")


def _decode(text: str) -> str | None:
    """RFC 4954 §4: base64; "=" is an empty response, "*" cancels."""
    if text == "=":
        return ""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _plain(response: str | None) -> tuple[str, str] | None:
    """RFC 4616 §2: authorization identity, user and password. The first one is empty or the user."""
    parts = response.split("\0") if response is not None else []
    if len(parts) != 3 or (parts[0] and parts[0] != parts[1]):
        return None
    return parts[1], parts[2]
