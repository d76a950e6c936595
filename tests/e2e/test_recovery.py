"""kill -9 in the middle of a batch: after the restart every delivery has one outcome and nothing is lost."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Kannon
from tests.support.patience import patience

DOMAIN = "example.com"
MAILS = 500
CONCURRENCY = 40


@pytest.fixture
async def box() -> AsyncIterator[Inbox]:
    async with inbox() as box:
        yield box


@pytest.fixture
def kannon(tmp_path: Path, box: Inbox) -> Iterator[Kannon]:
    routes = [{"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}]
    extra = {
        "KANNON_SENDER__ROUTES": json.dumps(routes),
        "KANNON_SENDER__CONCURRENCY": str(CONCURRENCY),
        "KANNON_RETRY__FIRST": "1s",
    }
    kannon = Kannon(tmp_path / "data", extra)
    yield kannon
    kannon.kill()


def request() -> SendHTMLReq:
    return SendHTMLReq(
        sender=Sender(email=f"news@{DOMAIN}"),
        subject="Hello {{ n }}",
        html="<p>Number {{ n }}</p>",
        recipients=[Recipient(email=f"reader{n}@inbox.test", fields={"n": str(n)}) for n in range(MAILS)],
    )


@pytest.mark.parametrize("arrived", [1, 300])
async def test_kill_9_in_mid_batch_loses_nothing(kannon: Kannon, box: Inbox, arrived: int) -> None:
    await kannon.start().ready()
    client = kannon.client()
    await client.add_domain(DOMAIN)
    answer = await client.send(request())
    assert answer.accepted_count == MAILS
    with patience():
        while len(box.mails) < arrived:
            await anyio.sleep(0.001)
    children = descendants(kannon)
    killed_at = datetime.now(UTC)
    kannon.kill()
    client.close()
    await gone(children)

    await kannon.start().ready()
    client = kannon.client()
    outcomes = await client.outcomes(DOMAIN, MAILS)
    recorded = [
        event.email
        for event in await client.events(DOMAIN)
        if event.type == "delivered" and event.timestamp.ToDatetime(UTC) < killed_at
    ]
    client.close()
    assert outcomes == {f"reader{n}@inbox.test": "delivered" for n in range(MAILS)}
    copies = box.copies()
    assert len(copies) == MAILS
    assert max(copies.values()) <= 2
    # A second copy is of a mail whose outcome was not recorded: in a dialogue, or its outcome was on its way.
    assert [email for email in recorded if copies[email] > 1] == []
    assert sum(count - 1 for count in copies.values()) <= 2 * CONCURRENCY
    assert await kannon.stop() == 0


async def test_stop_in_mid_batch_finishes_open_mail_and_the_next_start_sends_the_rest(
    kannon: Kannon, box: Inbox
) -> None:
    await kannon.start().ready()
    client = kannon.client()
    await client.add_domain(DOMAIN)
    await client.send(request())
    with patience():
        while len(box.mails) < 50:
            await anyio.sleep(0.001)
    client.close()
    assert await kannon.stop() == 0
    await kannon.start().ready()
    client = kannon.client()
    outcomes = await client.outcomes(DOMAIN, MAILS)
    client.close()
    assert set(outcomes.values()) == {"delivered"}
    # A clean stop causes no second copy.
    assert box.copies() == {f"reader{n}@inbox.test": 1 for n in range(MAILS)}
    assert await kannon.stop() == 0


def descendants(kannon: Kannon) -> set[int]:
    assert kannon.process is not None
    found: set[int] = set()
    waiting = [kannon.process.pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*"):
            try:
                children = [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
            found.update(children)
            waiting += children
    return found


async def gone(pids: set[int]) -> None:
    """Waits until all children have ended after kill -9 of their parent."""
    with patience():
        while alive := [pid for pid in pids if _runs(pid)]:
            assert alive
            await anyio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
