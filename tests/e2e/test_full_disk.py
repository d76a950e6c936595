"""A full disk while mail is under way, then room again: delivery goes on by itself, and each mail goes out once."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import anyio
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kannon.pb.admin.apiv1.adminapiv1_grpc import HZServiceStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.kannon_process import Client, Kannon
from tests.support.mounts import fill, needs_root, tmpfs
from tests.support.patience import PATIENCE_SECONDS, patience
from tests.support.smtp_peer import Peer, serving

DOMAIN = "example.com"
MAILS = 600


@needs_root
async def test_delivery_goes_on_by_itself_when_a_full_disk_has_room_again(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    peer = Peer(gate=asyncio.Event())
    with tmpfs(disk, "size=400m,mode=0711"):
        async with serving(peer) as port:
            routes = [{"domain": "*", "host": "127.0.0.1", "port": port, "tls": "none"}]
            kannon = Kannon(disk, {"KANNON_SENDER__ROUTES": json.dumps(routes)}, fresh=True)
            try:
                await kannon.start().ready()
                client = kannon.client()
                await client.add_domain(DOMAIN)
                await client.send(mails("reader", MAILS))
                await until_arrived(peer, 2)

                filler = disk / "filler"
                fill(filler)
                assert peer.gate is not None
                peer.gate.set()  # the outcomes of these mails, and of those behind them, find no room
                await until_unhealthy(client, {"disk", "nats"})
                with pytest.raises(GRPCError) as refused:
                    await client.send(mails("late", 1))
                assert refused.value.status is Status.UNAVAILABLE
                assert "disk.reserve" in (refused.value.message or "")

                filler.unlink()
                await until_unhealthy(client, set())  # PostgreSQL may have ended for want of room
                outcomes = await client.outcomes(DOMAIN, MAILS)
                assert set(outcomes.values()) == {"delivered"}
                assert max(Counter(peer.recipients).values()) == 1
                await client.send(mails("last", 1))
                await until_arrived(peer, MAILS + 1)
                assert await kannon.stop() == 0
            finally:
                kannon.kill()


def mails(name: str, count: int) -> SendHTMLReq:
    return SendHTMLReq(
        sender=Sender(email=f"news@{DOMAIN}"),
        subject="Hello",
        html="<p>Hello</p>",
        recipients=[Recipient(email=f"{name}{n}@inbox.test") for n in range(count)],
    )


async def until_arrived(peer: Peer, count: int) -> None:
    with patience():
        while len(peer.mails) < count:
            await anyio.sleep(0.01)


async def until_unhealthy(client: Client, names: set[str]) -> None:
    """Until HZ names these at least; until it names nothing, for the empty set."""
    with patience():
        while True:
            answer = await HZServiceStub(client.channel).HZ(HZRequest(), timeout=PATIENCE_SECONDS)
            found = set(answer.result)
            if names <= found and bool(names) == bool(found):
                return
            await anyio.sleep(0.05)
