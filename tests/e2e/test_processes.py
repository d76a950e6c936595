"""Further processes of one server (runner.processes): they share the work, count as one, and may be killed."""

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from kannon.pb.admin.apiv1.adminapiv1_grpc import HZServiceStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.e2e.test_metrics import read
from tests.support.inbox import Inbox, serving
from tests.support.kannon_process import Kannon
from tests.support.patience import patience

DOMAIN = "example.com"
MAILS = 60


@dataclass
class Gate(Inbox):
    """Answers RCPT once the gate is open."""

    opened: anyio.Event = field(default_factory=anyio.Event)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await self.opened.wait()
        return await super().handle_RCPT(server, session, envelope, address, options)


@pytest.fixture
async def box() -> AsyncIterator[Gate]:
    async with serving(Gate()) as box:
        yield box


@pytest.fixture
def kannon(tmp_path: Path, box: Gate) -> Iterator[Kannon]:
    routes = [{"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}]
    extra = {
        "KANNON_SENDER__ROUTES": json.dumps(routes),
        "KANNON_RUNNER__PROCESSES": "3",
        "KANNON_DISPATCHER__WORKERS": "0",
    }
    kannon = Kannon(tmp_path / "data", extra)
    yield kannon
    kannon.kill()


def request(name: str) -> SendHTMLReq:
    recipients = [Recipient(email=f"{name}{n}@inbox.test") for n in range(MAILS)]
    return SendHTMLReq(sender=Sender(email=f"news@{DOMAIN}"), subject="x", html="<p>x</p>", recipients=recipients)


def children(kannon: Kannon) -> dict[int, int]:
    """Process ids of the further processes, by their number."""
    found = re.findall(r"\] process started component=processes pid=(\d+) process=(\d+)$", kannon.text(), re.M)
    return {int(number): int(pid) for pid, number in found}


def connected(pid: int, port: int) -> int:
    """How many sockets of a process lead to this port (proc(5), net/tcp)."""
    sockets = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(str(each.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(f"socket:[{row[9]}]" in sockets for row in rows if int(row[2].split(":")[1], 16) == port)


async def health(kannon: Kannon) -> dict[str, str]:
    return dict((await HZServiceStub(kannon.client().channel).HZ(HZRequest())).result)


async def counted(kannon: Kannon, mails: int) -> dict[str, float]:
    """The metrics, once so many mails are stored."""
    with patience():
        while (found := await read(kannon)).get("kannon_events_total delivered") != mails:
            await anyio.sleep(0.1)
    return found


@pytest.mark.as_built
async def test_processes_share_the_work_and_one_that_is_killed_loses_and_doubles_nothing(
    kannon: Kannon, box: Gate
) -> None:
    await kannon.start().ready()
    client = kannon.client()
    await client.add_domain(DOMAIN)
    await client.send(request("a"))
    pids = children(kannon)
    assert pids.keys() == {2, 3}
    with patience():
        while not all(connected(pid, box.port) for pid in pids.values()):
            await anyio.sleep(0.02)
        # What a process had counted at a scrape still counts when it is killed.
        while (await read(kannon))["kannon_events_total accepted"] != MAILS:
            await anyio.sleep(0.1)
    assert await health(kannon) == {}

    os.kill(pids[2], signal.SIGKILL)
    with patience():
        while await health(kannon) != {"components": "unavailable"}:
            await anyio.sleep(0.02)
        while children(kannon)[2] == pids[2] or await health(kannon):
            await anyio.sleep(0.05)
    box.opened.set()
    outcomes = await client.outcomes(DOMAIN, MAILS)
    assert outcomes == {f"a{n}@inbox.test": "delivered" for n in range(MAILS)}
    assert box.copies() == {f"a{n}@inbox.test": 1 for n in range(MAILS)}

    found = await counted(kannon, MAILS)
    assert (found["kannon_processes wanted"], found["kannon_processes ready"]) == (3, 3)
    assert found["kannon_process_restarts_total"] == 1
    await client.send(request("b"))
    await client.outcomes(DOMAIN, 2 * MAILS)
    after = await counted(kannon, 2 * MAILS)
    assert after["kannon_built_total"] - found["kannon_built_total"] == MAILS
    verdicts = {name: value for name, value in after.items() if name.startswith("kannon_verdicts_total")}
    assert sum(verdicts.values()) == 2 * MAILS
    assert after["kannon_events_total accepted"] == 2 * MAILS
    assert all(after[name] >= value for name, value in found.items() if name.endswith("_total"))
    client.close()

    # SIGTERM: every process finishes its open mail.
    assert await kannon.stop() == 0
    assert sorted(re.findall(r"\] stopped(.*)$", kannon.text(), re.M)) == ["", " process=2", " process=3"]
    assert [pid for pid in children(kannon).values() if Path(f"/proc/{pid}").exists()] == []


async def test_a_further_process_that_nothing_has_started_says_so(kannon: Kannon) -> None:
    kannon.arguments = ["--process", "2"]
    assert await kannon.start().ended() == 1
    assert "only kannon serve itself starts further processes" in kannon.text()
