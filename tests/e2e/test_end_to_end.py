"""`kannon serve` as a process with embedded servers: start, send, deliver, bounce, open, click, count, stop."""

import email
import email.policy
import http.client
import json
import re
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib
import anyio
import anyio.to_thread
import dkim
import pytest

from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Client, Kannon, free_port
from tests.support.patience import PATIENCE_SECONDS, patience

DOMAIN = "example.com"
HTML = '<html><body><p>Hi {{ name }}, <a href="https://shop.example/?a=1&amp;b={{ name }}">buy</a></p></body></html>'


def request(recipients: list[str]) -> SendHTMLReq:
    return SendHTMLReq(
        sender=Sender(email=f"news@{DOMAIN}", alias="News"),
        subject="Hello {{ name }}",
        html=HTML,
        recipients=[Recipient(email=r, fields={"name": r.split("@")[0]}) for r in recipients],
    )


def route_to(port: int) -> dict[str, str]:
    return {
        "KANNON_SENDER__ROUTES": json.dumps([{"domain": "*", "host": "127.0.0.1", "port": port, "tls": "none"}]),
        "KANNON_RETRY__FIRST": "1s",
    }


@pytest.fixture
async def box() -> AsyncIterator[Inbox]:
    deferred: set[str] = set()

    def answer(address: str) -> str:
        if address.startswith("refused"):
            return "550 5.1.1 No such user"
        if address.startswith("later") and address not in deferred:
            deferred.add(address)
            return "451 4.7.1 Greylisted"
        return "250 2.1.5 OK"

    async with inbox(answer) as box:
        yield box


@pytest.fixture
async def kannon(tmp_path: Path, box: Inbox) -> AsyncIterator[Kannon]:
    bump_port = free_port()
    extra = {
        **route_to(box.port),
        "KANNON_BUMP__LISTEN": f"127.0.0.1:{bump_port}",
        "KANNON_BUMP__BASE_URL": f"http://127.0.0.1:{bump_port}",
    }
    kannon = Kannon(tmp_path / "data dir", extra).start()
    try:
        yield await kannon.ready()
    finally:
        kannon.kill()


@pytest.mark.as_built
async def test_mails_bounces_opens_and_clicks_reach_the_statistics(kannon: Kannon, box: Inbox) -> None:
    client = kannon.client()
    public_key = await client.add_domain(DOMAIN)
    recipients = ["a@inbox.test", "later@inbox.test", "refused@inbox.test", "no address"]
    answer = await client.send(request(recipients))
    assert (answer.accepted_count, answer.rejected_count) == (4, 0)

    outcomes = await client.outcomes(DOMAIN, 4)
    assert outcomes == {
        "a@inbox.test": "delivered",
        "later@inbox.test": "delivered",
        "refused@inbox.test": "bounced",
        "no address": "rejected",
    }
    assert box.copies() == {"a@inbox.test": 1, "later@inbox.test": 1}

    raw = dict(box.mails)["a@inbox.test"]
    assert dkim.verify(raw, dnsfunc=lambda *_, **__: f"v=DKIM1; k=rsa; p={public_key}".encode())
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert (message["From"], message["To"], message["Subject"]) == (
        "News <news@example.com>",
        "a@inbox.test",
        "Hello a",
    )
    part = message.get_body(("html",))
    assert part is not None
    html: str = part.get_content()
    pixel, link = re.search(r'src="([^"]*/o/[^"]*)"', html), re.search(r'href="([^"]*/c/[^"]*)"', html)
    assert pixel is not None
    assert link is not None
    assert await anyio.to_thread.run_sync(get, pixel[1]) == (200, None)
    assert await anyio.to_thread.run_sync(get, link[1]) == (307, "https://shop.example/?a=1&b=a")

    await bounce_back(kannon.ports["smtp"], box.reverse_paths["a@inbox.test"])
    await counted(client, {"opened": 1, "clicked": 1, "bounced": 2})
    types = sorted(e.type for e in await client.events(DOMAIN))
    assert types == sorted(
        ["accepted"] * 3 + ["rejected", "error", "bounced", "bounced", "opened", "clicked", "delivered", "delivered"]
    )

    # minijinja imports a module of its own from Rust, which the executable must contain.
    jinja = request(["b@inbox.test"])
    jinja.engine, jinja.html = "jinja", "<p>{% for n in [1, 2] %}{{ n }}{% endfor %}</p>"
    assert (await client.send(jinja)).accepted_count == 1
    await counted(client, {"delivered": 3})
    made = email.message_from_bytes(dict(box.mails)["b@inbox.test"], policy=email.policy.default)
    assert isinstance(made, EmailMessage)
    html_of_jinja = made.get_body(("html",))
    assert html_of_jinja is not None
    assert html_of_jinja.get_content().startswith("<p>12")
    client.close()
    assert await kannon.stop() == 0
    assert "Traceback" not in kannon.text()


async def bounce_back(port: int, reverse_path: str) -> None:
    """Sends a report, as a remote server that accepted the mail and cannot deliver it."""
    report = (
        f"From: MAILER-DAEMON@inbox.test\r\nTo: <{reverse_path}>\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; inbox.test\r\n\r\n"
        "Final-Recipient: rfc822; a@inbox.test\r\nAction: failed\r\nStatus: 5.2.1\r\n"
        "Diagnostic-Code: smtp; 550 5.2.1 Mailbox disabled\r\n\r\n--b--\r\n"
    )
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as server:
        await server.sendmail("", [reverse_path], report.encode())


async def counted(client: Client, wanted: dict[str, int]) -> None:
    """Waits until `wanted` events of each type are stored."""
    with patience():
        while True:
            types = [e.type for e in await client.events(DOMAIN)]
            if all(types.count(kind) == count for kind, count in wanted.items()):
                return
            await anyio.sleep(0.05)


def get(url: str) -> tuple[int, str | None]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location")
    finally:
        connection.close()
