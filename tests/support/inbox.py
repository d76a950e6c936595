"""A receiving SMTP server for the end-to-end tests: real aiosmtpd, with answers by recipient."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from aiosmtpd.smtp import SMTP, Envelope, Session

Answer = Callable[[str], str]
AnswerWithPath = Callable[[str, str], str]


@dataclass
class Inbox:
    """`answer` gives the reply to RCPT from the recipient and the MAIL FROM; `mails` holds (recipient, message) in
    order of arrival, `arrivals` the same with the MAIL FROM before them, `reverse_paths` it by recipient."""

    answer: AnswerWithPath = lambda address, reverse_path: "250 2.1.5 OK"
    port: int = 0
    mails: list[tuple[str, bytes]] = field(default_factory=list)
    arrivals: list[tuple[str, str, bytes]] = field(default_factory=list)
    reverse_paths: dict[str, str] = field(default_factory=dict)

    def copies(self) -> Counter[str]:
        return Counter(recipient for recipient, _ in self.mails)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.answer(address, envelope.mail_from or "")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.reverse_paths.update(dict.fromkeys(envelope.rcpt_tos, envelope.mail_from or ""))
        self.mails += [(recipient, content) for recipient in envelope.rcpt_tos]
        self.arrivals += [(envelope.mail_from or "", recipient, content) for recipient in envelope.rcpt_tos]
        return "250 2.0.0 OK"


@asynccontextmanager
async def inbox(
    answer: Answer | None = None, *, answer_with_path: AnswerWithPath | None = None
) -> AsyncIterator[Inbox]:
    box = Inbox()
    if answer_with_path is not None:
        box.answer = answer_with_path
    elif answer is not None:
        box.answer = lambda address, _: answer(address)
    async with serving(box):
        yield box


Box = TypeVar("Box", bound=Inbox)


@asynccontextmanager
async def serving(box: Box) -> AsyncIterator[Box]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, hostname="inbox.test", enable_SMTPUTF8=True), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
