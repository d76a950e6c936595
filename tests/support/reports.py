"""Reports as remote servers send them to a bounce address."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime

import aiosmtplib
import anyio

from tests.support.patience import PATIENCE_SECONDS


def failure(
    recipient: str,
    *,
    status: str = "5.2.1",
    code: int = 550,
    text: str = "Mailbox disabled",
    at: datetime | None = None,
) -> bytes:
    """RFC 3464."""
    date = f"Date: {format_datetime(at)}\r\n" if at else ""
    return (
        f"From: MAILER-DAEMON@inbox.test\r\n{date}Subject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; inbox.test\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {code} {status} {text}\r\n\r\n--b--\r\n"
    ).encode()


def complaint(recipient: str, at: datetime | None = None) -> bytes:
    """RFC 5965."""
    date = f"Date: {format_datetime(at)}\r\n" if at else ""
    return (
        f"From: fbl@inbox.test\r\n{date}Subject: complaint\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n"
        "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: fbl/1\r\n"
        f"Version: 1\r\nOriginal-Rcpt-To: {recipient}\r\n\r\n--b--\r\n"
    ).encode()


class Reporter:
    """A remote server's queue of reports (bounce address, report), sent over several connections."""

    def __init__(self, port: int, connections: int = 8) -> None:
        self._port = port
        self._connections = connections
        self.accepted: list[str] = []
        """Bounce addresses of the reports that were accepted, in that order."""

    async def send(self, jobs: Iterable[tuple[str, bytes]]) -> None:
        """Returns when all are accepted or the server is gone; `accepted` holds those that it accepted."""
        waiting = iter(list(jobs))
        async with anyio.create_task_group() as group:
            for _ in range(self._connections):
                group.start_soon(self._connection, waiting)

    async def _connection(self, waiting: Iterator[tuple[str, bytes]]) -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=self._port, start_tls=False, timeout=PATIENCE_SECONDS)
        with suppress(aiosmtplib.SMTPException, OSError):
            async with client:
                for address, report in waiting:
                    _, reply = await client.sendmail("", [address], report)
                    assert reply.startswith("2.0.0"), reply
                    self.accepted.append(address)
