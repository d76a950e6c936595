"""What the benchmark sends: the same mails as one batch, as single sends, and for many tenants.

In: a name. Out: requests, and `send_all`, which makes the calls by several callers at once.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.bench.plain_client import PlainClient, prepare
from tests.support.kannon_process import Client

DOMAIN = "bench.example"
CALLERS = 50
TENANTS = 500
MAILS_PER_TENANT = 20
SINGLES = 4000
SEND_HTML = "/pkg.kannon.mailer.apiv1.Mailer/SendHTML"
PARAGRAPH = (
    "<p>Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip.</p>\n"
)
HTML_BYTES = 5000


def html(title: str = "Hello") -> str:
    """5 kB, three fields, two links."""
    head = (
        f"<html><body><h1>{title} {{{{ name }}}}</h1>"
        "<p>Order {{ order }} for {{ city }}: "
        '<a href="https://shop.example/orders/{{ order }}">see it</a> or '
        '<a href="https://shop.example/help?topic=delivery&amp;from=mail">ask us</a>.</p>\n'
    )
    tail = "</body></html>"
    count = (HTML_BYTES - len(head) - len(tail)) // len(PARAGRAPH) + 1
    return (head + PARAGRAPH * count)[: HTML_BYTES - len(tail)] + tail


def request(mails: int, *, first: int = 0, domain: str = DOMAIN, title: str = "Hello") -> SendHTMLReq:
    recipients = [
        Recipient(
            email=f"reader{n}@inbox{n % 20}.example",
            fields={"name": f"Reader {n}", "order": str(100_000 + n), "city": "Århus"},
        )
        for n in range(first, first + mails)
    ]
    sender = Sender(email=f"news@{domain}", alias="The News")
    return SendHTMLReq(sender=sender, subject="Order {{ order }}", html=html(title), recipients=recipients)


@dataclass(frozen=True)
class Workload:
    """`requests` of `callers` at once; a request's domain is that of its sender."""

    requests: Sequence[SendHTMLReq]
    callers: int

    @property
    def mails(self) -> int:
        return sum(len(each.recipients) for each in self.requests)

    @property
    def domains(self) -> list[str]:
        return sorted({sender_domain(each) for each in self.requests})


def sender_domain(send: SendHTMLReq) -> str:
    return send.sender.email.rsplit("@", 1)[1]


def one_batch(mails: int) -> Workload:
    """One call."""
    return Workload([request(mails)], 1)


def singles(mails: int) -> Workload:
    """A call for each mail, all of one tenant and one text."""
    return Workload([request(1, first=n) for n in range(mails)], CALLERS)


def tenants(mails: int) -> Workload:
    """A call for each tenant; each has a key and a text of its own."""
    return Workload(
        [
            request(
                MAILS_PER_TENANT, first=n * MAILS_PER_TENANT, domain=f"tenant{n}.example", title=f"Tenant {n} greets"
            )
            for n in range(mails // MAILS_PER_TENANT)
        ],
        CALLERS,
    )


WORKLOADS: Mapping[str, tuple[Callable[[int], Workload], int]] = {
    "batch": (one_batch, 10_000),
    "singles": (singles, SINGLES),
    "tenants": (tenants, TENANTS * MAILS_PER_TENANT),
}
"""By name: the workload of so many mails, and the usual number."""


async def send_all(workload: Workload, kannon: Client, host: str, port: int) -> None:
    """Raises RuntimeError or GRPCError when a call fails. The client of small requests costs little beside the server,
    which shares its machine."""
    if workload.callers == 1:
        for each in workload.requests:
            await kannon.send(each)
        return
    calls = [
        prepare(host, SEND_HTML, [("authorization", kannon.credentials[sender_domain(each)])], each.SerializeToString())
        for each in workload.requests
    ]
    left = iter(calls)

    async def caller() -> None:
        client = await PlainClient.open(host, port)
        for call in left:
            await client.call(call)
        client.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(workload.callers):
            group.create_task(caller())
