"""Delivery into a folder: `sender.mode = "sandbox"`.

In: an envelope. Out: a verdict, as from a `Deliverer`, which it replaces. Accepted mail is written to a Maildir, octet
for octet below two trace headers. The simulator's addresses (kannon.mail.simulator) answer as their names say; their
bounces and complaints go over SMTP to this installation's own inbound server. The sandbox opens no other connection.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import structlog
from anyio.abc import TaskGroup

from kannon.config import Dns, Route, Sender, Smtp, split_listen
from kannon.mail.destination import Destination, SenderView
from kannon.mail.envelope import Envelope
from kannon.mail.simulator import simulate
from kannon.mail.verdict import Deferred, Delivered, Refused, Reply, Verdict
from kannon.maildir import make_maildir, write_mail
from kannon.outbound.deliver import Deliverer
from kannon.outbound.throttled import Throttled

log = structlog.get_logger()

ANSWER_TRIES = 5
ANSWER_RETRY_SECONDS = 1.0


class Sandbox:
    """`async with Sandbox(folder, config.sender, config.smtp) as sandbox:`"""

    def __init__(self, folder: Path, sender: Sender, smtp: Smtp) -> None:
        self._folder = folder
        self._capacity = sender.concurrency
        inward = {"routes": [_route_to(smtp)], "source_ips": [], "warmup": []}
        self._back = Deliverer(sender.model_copy(update=inward), Dns())
        self._group: TaskGroup | None = None
        self._kept = 0

    @property
    def capacity(self) -> int:
        return self._capacity

    async def __aenter__(self) -> Self:
        make_maildir(self._folder)
        await self._back.__aenter__()
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        group, self._group = self._group, None
        assert group is not None, "entered"  # noqa: S101  # for the type checker
        group.cancel_scope.cancel()
        try:
            return await group.__aexit__(kind, error, trace)
        finally:
            await self._back.__aexit__(kind, error, trace)

    def cancel_waiters(self) -> None:
        """The sandbox has no waiters."""

    def destinations(self) -> list[Destination]:
        return [Destination("sandbox", 0, 0, 0, self._capacity, f"{self._kept} mails written")]

    def report(self) -> SenderView:
        return self._back.report()

    def hear(self, view: SenderView) -> None:
        self._back.hear(view)

    async def deliver(self, envelope: Envelope, held: Callable[[], bool] = lambda: True) -> Verdict | Throttled:
        verdict, answer = simulate(envelope)
        if isinstance(verdict, Delivered):
            trace = f"Return-Path: <{envelope.mail_from}>\r\nDelivered-To: {envelope.rcpt_to}\r\n".encode()
            await anyio.to_thread.run_sync(write_mail, self._folder, trace + envelope.body)
            self._kept += 1
        if answer and self._group is not None:
            self._group.start_soon(self._answer, envelope, answer)
        return verdict

    async def _answer(self, envelope: Envelope, answer: bytes) -> None:
        """To the bounce address, with the empty reverse-path of reports (RFC 5321 §4.5.5)."""
        back = Envelope(
            delivery_id=envelope.delivery_id,
            message_id=envelope.message_id,
            domain=envelope.domain,
            mail_from="",
            rcpt_to=envelope.mail_from,
            body=answer,
            attempt=1,
            due_at=envelope.due_at,
        )
        verdict: Verdict | Throttled = Throttled(0.0)
        for _ in range(ANSWER_TRIES):
            verdict = await self._back.deliver(back)
            if isinstance(verdict, Delivered):
                return
            await anyio.sleep(verdict.retry_in if isinstance(verdict, Throttled) else ANSWER_RETRY_SECONDS)
        log.warning("cannot deliver the simulator's report", to=envelope.mail_from, why=_why(verdict))


def _why(verdict: Verdict | Throttled) -> str:
    match verdict:
        case Throttled():
            return "the inbound SMTP server cannot be reached"
        case Delivered(reply) | Refused(reply) | Deferred(Reply() as reply):
            return " ".join(filter(None, (str(reply.code), reply.enhanced, reply.text)))
        case Deferred():
            return f"{verdict.stage}: {verdict.reason}"


def _route_to(smtp: Smtp) -> Route:
    """This installation's inbound server, by its listen address."""
    host, port = split_listen(smtp.listen)
    return Route(domain="*", host={"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port=port or 1, tls="none")  # noqa: S104
