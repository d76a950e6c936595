"""The steps of the demo, as a client of the server: register, send, watch, read, open, click, count.

In: the address of the API, the admin token, the inbox. Out: lines on the console; OperatorError at the first unexpected
result.
"""

import base64
import email
import email.policy
import http.client
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import dkim
from grpclib.client import Channel
from rich.console import Console
from rich.live import Live
from rich.table import Table

from kannon.cli.demo.inbox import LATER, REFUSED, Inbox
from kannon.errors import OperatorError
from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import CreateAPIKeyRequest, CreateDomainRequest
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv1.statsapiv1_pb2 import GetStatsReq
from kannon.pb.stats.apiv2.statsapiv2_grpc import StatsApiV2Stub
from kannon.pb.stats.apiv2.statsapiv2_pb2 import GetAggregatedStatsReq
from kannon.pb.stats.types.stats_pb2 import Stats
from kannon.wire.events import timestamp

DOMAIN = "demo.example"
MALFORMED = "not-an-address"
EXPECTED = {
    "anna@inbox.example": "delivered",
    "ben@inbox.example": "delivered",
    "carla@inbox.example": "delivered",
    LATER: "delivered",
    REFUSED: "bounced",
    MALFORMED: "rejected",
}
HTML = """<html><body>
<h1>Hello {{ name }}</h1>
<p>Your order {{ order }} is on its way:
<a href="https://shop.example/orders?id={{ order }}&amp;from=mail">track it</a>.</p>
</body></html>
"""
OUTCOMES_SECONDS = 25.0

Addresses = Callable[[], Sequence[tuple[str, int]]]


class Walkthrough:
    """`run` may be called once."""

    def __init__(self, console: Console, addresses: Addresses, token: str, inbox: Inbox) -> None:
        self._console = console
        self._addresses = addresses
        self._admin = {"x-kannon-admin-token": token}
        self._inbox = inbox

    async def run(self) -> None:
        """Raises OperatorError at the first unexpected result."""
        host, port = self._addresses()[0]
        channel = Channel(host, port)
        try:
            public_key = await self._send(channel)
            await self._watch(channel)
            self._console.print()
            self._show_mail("anna@inbox.example", public_key)
            await self._read("anna@inbox.example")
            await self._count(channel)
        finally:
            channel.close()

    async def _send(self, channel: Channel) -> str:
        """Registers the domain, creates a key, sends to six recipients. Returns the domain's public DKIM key."""
        api = ApiStub(channel)
        domain = await api.CreateDomain(CreateDomainRequest(domain=DOMAIN), metadata=self._admin)
        key = await api.CreateAPIKey(CreateAPIKeyRequest(domain=DOMAIN, name="demo"), metadata=self._admin)
        self._console.print(f"Domain [bold]{DOMAIN}[/] registered, with a DKIM key and an API key.")
        request = SendHTMLReq(
            sender=Sender(email=f"shop@{DOMAIN}", alias="The Shop"),
            subject="Your order {{ order }}, {{ name }}",
            html=HTML,
            recipients=[
                Recipient(email=address, fields={"name": address.split("@")[0].title(), "order": str(1000 + number)})
                for number, address in enumerate(EXPECTED)
            ],
        )
        answer = await MailerStub(channel).SendHTML(request, metadata={"authorization": basic(DOMAIN, key.key)})
        self._console.print(f"One call sent [bold]{answer.accepted_count}[/] mails as batch {answer.message_id}.")
        return domain.dkim_pub_key

    async def _watch(self, channel: Channel) -> None:
        """Shows the events of each delivery until all have their outcome."""
        with Live(console=self._console, refresh_per_second=10) as live, anyio.move_on_after(OUTCOMES_SECONDS):
            while True:
                events = await self._events(channel)
                outcomes = {e.email: e.type for e in events if EXPECTED.get(e.email) == e.type}
                live.update(_table(events))
                if outcomes == EXPECTED:
                    return
                await anyio.sleep(0.1)
        raise OperatorError(f"after {OUTCOMES_SECONDS:.0f} s not every delivery has the expected outcome")

    async def _events(self, channel: Channel) -> list[Stats]:
        request = GetStatsReq(domain=DOMAIN, take=100)
        answer = await StatsApiV1Stub(channel).GetStats(request, metadata=self._admin)
        return list(reversed(answer.stats))

    def _show_mail(self, recipient: str, public_key: str) -> None:
        raw = self._inbox.mails[recipient]
        verdict = dkim.verify(raw, dnsfunc=lambda *_, **__: f"v=DKIM1; k=rsa; p={public_key}".encode())
        self._console.rule(f"what {recipient} received")
        for name, value in email.message_from_bytes(raw, policy=email.policy.default).items():
            self._console.print(f"[bold]{name}[/]: {' '.join(value.split())[:100]}", highlight=False, markup=True)
        self._console.print(f"DKIM: {'[green]pass[/]' if verdict else '[red]FAIL[/]'}")
        if not verdict:
            raise OperatorError("the DKIM signature does not verify")

    async def _read(self, recipient: str) -> None:
        """Requests the pixel and the link, as a mail client does."""
        message = email.message_from_bytes(self._inbox.mails[recipient], policy=email.policy.default)
        html = message.get_body(("html",)) if isinstance(message, EmailMessage) else None
        text = "" if html is None else html.get_content()
        pixel, link = re.search(r'src="(http[^"]*/o/[^"]*)"', text), re.search(r'href="(http[^"]*/c/[^"]*)"', text)
        if pixel is None or link is None:
            raise OperatorError("the mail has no pixel or no tracked link")
        self._console.rule("reading it")
        status, _ = await anyio.to_thread.run_sync(_get, pixel[1])
        self._console.print(f"pixel: {status}")
        status, location = await anyio.to_thread.run_sync(_get, link[1])
        self._console.print(f"link: {status} → {location}", highlight=False)
        if location != "https://shop.example/orders?id=1000&from=mail":
            raise OperatorError(f"the link redirects to {location}")

    async def _count(self, channel: Channel) -> None:
        """Waits for the counters of the open and the click."""
        now = datetime.now(UTC)
        request = GetAggregatedStatsReq(
            domain=DOMAIN,
            from_date=timestamp(now - timedelta(hours=2)),
            to_date=timestamp(now + timedelta(hours=2)),
        )
        wanted = {"accepted": 5, "rejected": 1, "delivered": 4, "bounced": 1, "error": 1, "opened": 1, "clicked": 1}
        counted: dict[str, int] = {}
        with anyio.move_on_after(OUTCOMES_SECONDS):
            while counted != wanted:
                counted = {}
                answer = await StatsApiV2Stub(channel).GetAggregatedStats(request, metadata=self._admin)
                for row in answer.stats:
                    counted[row.type] = counted.get(row.type, 0) + row.count
                await anyio.sleep(0.1)
        self._console.rule("counted")
        self._console.print(", ".join(f"{kind} {count}" for kind, count in counted.items()))
        if counted != wanted:
            raise OperatorError(f"the counters are {counted}, not {wanted}")


def basic(domain: str, key: str) -> str:
    """RFC 7617."""
    return "Basic " + base64.b64encode(f"{domain}:{key}".encode()).decode()


def _table(events: Sequence[Stats]) -> Table:
    table = Table("recipient", "events")
    texts: dict[str, list[str]] = {address: [] for address in EXPECTED}
    for event in events:
        text = event.type
        if event.type == "error":
            text = f"deferred ({event.data.error.code} {event.data.error.msg})"
        elif event.type == "bounced":
            text = f"[red]bounced[/] ({event.data.bounced.code} {event.data.bounced.msg})"
        elif event.type == "rejected":
            text = f"[red]rejected[/] ({event.data.rejected.reason})"
        elif event.type == "delivered":
            text = "[green]delivered[/]"
        texts.setdefault(event.email, []).append(text)
    for address, parts in texts.items():
        table.add_row(address, " → ".join(parts))
    return table


def _get(url: str) -> tuple[int, str]:
    """Returns status and Location without following a redirect."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=5)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", "")
    finally:
        connection.close()
