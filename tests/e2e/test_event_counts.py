"""A campaign over several domains (in the long form a thousand mails over twenty), with every outcome that a mail can
have.

The peer is the recipients' mail server, their readers and their postmasters, and counts its actions. The rows of
`stats`, the counters, and the Stats API in all its forms must have the same counts. The pool must be empty, and the
next send must reject exactly the addresses that bounced hard or complained.
"""

import asyncio
import email
import email.policy
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import SetTrackingPolicyReq
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv1.statsapiv1_pb2 import GetStatsAggregatedReq
from kannon.pb.stats.apiv2.statsapiv2_grpc import StatsApiV2Stub
from kannon.pb.stats.apiv2.statsapiv2_pb2 import GetAggregatedStatsReq
from kannon.pb.tracking.types.tracking_pb2 import TRACKING_MODE_ANONYMOUS, TrackingPolicy
from tests.support.effort import LONG
from tests.support.http import request
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Client, Kannon, free_port
from tests.support.patience import patience
from tests.support.reports import Reporter, complaint, failure

DOMAINS = [f"tenant{n}.example" for n in range(20 if LONG else 5)]
ANONYMOUS = DOMAINS[0]
EACH = 50
HTML = '<html><body><p>Hi {{ n }}, <a href="https://shop.example/{{ n }}">buy</a></p></body></html>'

# The fate of recipient n of each domain, by the first word of its address; all others are only delivered.
SCRIPT = {
    0: "dead",  # 550 5.1.1: bounced, suppressed
    1: "policy",  # 550 5.7.1: bounced
    2: "full",  # 452, then 552 5.2.2: error, bounced
    3: "greylisted",  # 451, then accepted: error, delivered
    4: "late",  # accepted, then a report of 5.1.1: delivered, bounced, suppressed
    5: "unlucky",  # accepted, then a transient failure report: delivered, bounced
    6: "angry",  # accepted, opened, then a complaint: complained, suppressed
    7: "cancelled",  # 451 for ever, until a report comes while it waits: error, bounced
    8: "invalid",  # no address: rejected
    **dict.fromkeys(range(10, 20), "reader"),  # opens
    **dict.fromkeys(range(20, 25), "clicker"),  # opens twice and clicks
}


def address(number: int) -> str:
    word = SCRIPT.get(number, "other")
    return "invalid" if word == "invalid" else f"{word}-{number}@inbox{number % 20}.test"


def word_of(recipient: str) -> str:
    return recipient.split("-", 1)[0]


@dataclass
class Peer:
    """All parties but Kannon. `counts` counts (domain, address, type); anonymous events have an empty address."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Bounce address → (domain, address) of those who are to be cancelled."""

    def note(self, domain: str, recipient: str, kind: str) -> None:
        hidden = domain == ANONYMOUS and kind in ("opened", "clicked")
        self.counts[domain, "" if hidden else recipient, kind] += 1

    def by_type(self) -> Counter[tuple[str, str]]:
        total = Counter[tuple[str, str]]()
        for (domain, _, kind), count in self.counts.items():
            total[domain, kind] += count
        return total

    def answer(self, recipient: str, reverse_path: str) -> str:
        domain = reverse_path.rsplit("@", 1)[1]
        self.asked[domain, recipient] += 1
        first = self.asked[domain, recipient] == 1
        reply = "250 2.1.5 OK"
        match word_of(recipient):
            case "dead":
                reply = "550 5.1.1 No such user"
            case "policy":
                reply = "550 5.7.1 We do not like you"
            case "full":
                reply = "452 4.2.2 Mailbox full" if first else "552 5.2.2 Mailbox full"
            case "greylisted" if first:
                reply = "451 4.7.1 Greylisted"
            case "cancelled":
                reply = "451 4.3.0 Not now"
                self.waiting[reverse_path] = domain, recipient
        kind = {"2": "delivered", "4": "error", "5": "bounced"}[reply[0]]
        self.note(domain, recipient, kind)
        return reply


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
async def box(peer: Peer) -> AsyncIterator[Inbox]:
    async with inbox(answer_with_path=peer.answer) as box:
        yield box


@pytest.fixture
def kannon(tmp_path: Path, box: Inbox) -> Iterator[Kannon]:
    bump = free_port()
    extra = {
        "KANNON_SENDER__ROUTES": json.dumps([{"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}]),
        "KANNON_RETRY__FIRST": "2s",
        "KANNON_BUMP__LISTEN": f"127.0.0.1:{bump}",
        "KANNON_BUMP__BASE_URL": f"http://127.0.0.1:{bump}",
    }
    kannon = Kannon(tmp_path / "data", extra)
    yield kannon
    kannon.kill()


async def test_every_count_of_the_events_agrees(kannon: Kannon, box: Inbox, peer: Peer) -> None:
    started = datetime.now(UTC) - timedelta(hours=1)
    await kannon.start().ready()
    client = kannon.client()
    await send_all(client, peer)
    await cancelled_by_reports(kannon, peer)
    await delivered(box, peer)
    await read_and_reported(kannon, box, peer)

    database = await asyncpg.connect(kannon.postgres_url())
    with patience():
        while await database.fetchval("SELECT count(*) FROM sending_pool_emails"):
            await anyio.sleep(0.05)
        while await aggregated(database) != (by_type := peer.by_type()):
            await anyio.sleep(0.05)
    kept = Counter({key: count for key, count in peer.counts.items() if key[1]})
    assert await rows(database) == kept
    for domain in DOMAINS:
        assert await from_api(client, domain) == Counter({k[1:]: n for k, n in kept.items() if k[0] == domain})
        mine = Counter({kind: count for (of, kind), count in by_type.items() if of == domain})
        assert await counted_by_v2(client, domain, started) == mine
        if domain != ANONYMOUS:  # v1 counts the stored events
            assert await counted_by_v1(client, domain) == mine
    await left_out_next_time(client)
    await database.close()
    client.close()
    assert await kannon.stop() == 0
    assert "Traceback" not in kannon.text()


async def send_all(client: Client, peer: Peer) -> None:
    for domain in DOMAINS:
        await client.add_domain(domain)
    tracking = TrackingPolicy(opens=TRACKING_MODE_ANONYMOUS, links=TRACKING_MODE_ANONYMOUS)
    await ApiStub(client.channel).SetTrackingPolicy(
        SetTrackingPolicyReq(domain=ANONYMOUS, tracking=tracking), metadata=client.admin
    )
    for domain in DOMAINS:
        recipients = [address(n) for n in range(EACH)]
        answer = await client.send(campaign(domain, recipients))
        assert answer.accepted_count == EACH
        for recipient in recipients:
            peer.note(domain, recipient, "rejected" if recipient == "invalid" else "accepted")


def campaign(domain: str, recipients: list[str]) -> SendHTMLReq:
    return SendHTMLReq(
        sender=Sender(email=f"news@{domain}"),
        subject="For {{ n }}",
        html=HTML,
        recipients=[Recipient(email=recipient, fields={"n": str(n)}) for n, recipient in enumerate(recipients)],
    )


async def cancelled_by_reports(kannon: Kannon, peer: Peer) -> None:
    """Their server answers 451, and reports a failure while the delivery waits for its next attempt."""
    with patience():
        while len(peer.waiting) < len(DOMAINS):
            await anyio.sleep(0.02)
    reporter = Reporter(kannon.ports["smtp"])
    await reporter.send(
        (path, failure(recipient, status="5.3.0", text="Not ever")) for path, (_, recipient) in peer.waiting.items()
    )
    assert len(reporter.accepted) == len(DOMAINS)
    for domain, recipient in peer.waiting.values():
        peer.note(domain, recipient, "bounced")


async def delivered(box: Inbox, peer: Peer) -> None:
    """Waits until every accepted mail has arrived."""
    taken = sum(word_of(address(n)) not in ("dead", "policy", "full", "cancelled", "invalid") for n in range(EACH))
    with patience():
        while len(box.mails) < taken * len(DOMAINS):
            await anyio.sleep(0.02)
    assert set(Counter((path, recipient) for path, recipient, _ in box.arrivals).values()) == {1}


async def read_and_reported(kannon: Kannon, box: Inbox, peer: Peer) -> None:
    """Opens, clicks, late bounces and complaints, each several at a time."""
    reports: list[tuple[str, bytes]] = []
    limit = anyio.CapacityLimiter(20)

    async def fetch(domain: str, recipient: str, url: str, kind: str, method: str = "GET") -> None:
        async with limit:
            answer = await request(urlsplit(url).port or 0, urlsplit(url).path, method)
        assert answer.status == {"opened": 200, "clicked": 307}[kind]
        if method == "GET":
            peer.note(domain, recipient, kind)

    async with anyio.create_task_group() as group:
        for path, recipient, mail in box.arrivals:
            domain = path.rsplit("@", 1)[1]
            match word_of(recipient):
                case "late":
                    reports.append((path, failure(recipient, status="5.1.1", text="User unknown")))
                    peer.note(domain, recipient, "bounced")
                case "unlucky":
                    reports.append((path, failure(recipient, status="4.4.1", code=451, text="Gave up")))
                    peer.note(domain, recipient, "bounced")
                case "angry" | "reader" | "clicker" as word:
                    pixel, link = urls(mail)
                    group.start_soon(fetch, domain, recipient, pixel, "opened")
                    group.start_soon(fetch, domain, recipient, pixel, "opened", "HEAD")
                    if word == "clicker":
                        group.start_soon(fetch, domain, recipient, pixel, "opened")
                        group.start_soon(fetch, domain, recipient, link, "clicked")
                    if word == "angry":
                        reports.append((path, complaint(recipient)))
                        peer.note(domain, recipient, "complained")
    reporter = Reporter(kannon.ports["smtp"])
    await reporter.send(reports)
    await reporter.send(reports)  # a remote server that missed our 250 sends the same reports again; no new events
    assert Counter(reporter.accepted) == Counter(dict.fromkeys([path for path, _ in reports], 2))


def urls(mail: bytes) -> tuple[str, str]:
    message = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    part = message.get_body(("html",))
    assert part is not None
    html: str = part.get_content()
    pixel, link = re.search(r'src="([^"]*/o/[^"]*)"', html), re.search(r'href="([^"]*/c/[^"]*)"', html)
    assert pixel
    assert link
    return pixel[1], link[1]


async def aggregated(database: "asyncpg.Connection[asyncpg.Record]") -> Counter[tuple[str, str]]:
    found = await database.fetch("SELECT domain, type, sum(count)::bigint FROM aggregated_stats GROUP BY 1, 2")
    return Counter({(domain, kind): count for domain, kind, count in found})


async def rows(database: "asyncpg.Connection[asyncpg.Record]") -> Counter[tuple[str, str, str]]:
    found = await database.fetch("SELECT domain, email, type, count(*) FROM stats GROUP BY 1, 2, 3")
    return Counter({(domain, recipient, kind): count for domain, recipient, kind, count in found})


async def from_api(client: Client, domain: str) -> Counter[tuple[str, str]]:
    events = await client.events(domain)
    assert not any(event.HasField("data") for event in events if event.type == "complained")
    return Counter((event.email, event.type) for event in events)


async def counted_by_v1(client: Client, domain: str) -> Counter[str]:
    answer = await StatsApiV1Stub(client.channel).GetStatsAggregated(
        GetStatsAggregatedReq(domain=domain), metadata=client.admin
    )
    return summed((row.type, row.count) for row in answer.stats)


async def counted_by_v2(client: Client, domain: str, started: datetime) -> Counter[str]:
    span = GetAggregatedStatsReq(domain=domain, from_date=stamp(started), to_date=stamp(datetime.now(UTC)))
    answer = await StatsApiV2Stub(client.channel).GetAggregatedStats(span, metadata=client.admin)
    return summed((row.type, row.count) for row in answer.stats)


def summed(counts: Iterable[tuple[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for kind, count in counts:
        total[kind] += count
    return total


def stamp(at: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(at)
    return value


async def left_out_next_time(client: Client) -> None:
    async def rejected(domain: str) -> Counter[tuple[str, str]]:
        answer = await client.send(campaign(domain, [address(n).upper() for n in range(EACH)]))
        return Counter((word_of(r.email).lower(), r.reason) for r in answer.rejected_recipients)

    expected = Counter({("dead", "suppressed"): 1, ("late", "suppressed"): 1, ("angry", "suppressed"): 1})
    assert await asyncio.gather(*map(rejected, DOMAINS)) == [expected] * len(DOMAINS)
