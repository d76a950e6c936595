"""The demo's inbox: an SMTP server on loopback that accepts mail, rejects one recipient and defers another once."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session

REFUSED = "refused@inbox.example"
LATER = "later@inbox.example"


@dataclass
class Inbox:
    """`async with Inbox(host) as inbox`: listens on `inbox.port`; `mails` by recipient."""

    host: str
    port: int = 0
    mails: dict[str, bytes] = field(default_factory=dict)
    _deferred: set[str] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="inbox.example", enable_SMTPUTF8=True), self.host, 0
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == REFUSED:
            return "550 5.1.1 No such user here"
        if address == LATER and address not in self._deferred:
            self._deferred.add(address)
            return "451 4.7.1 Greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        for recipient in envelope.rcpt_tos:
            self.mails[recipient] = content if isinstance(content, bytes) else b""
        return "250 2.0.0 Accepted"
