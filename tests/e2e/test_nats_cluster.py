"""A cluster of three nats-servers that loses the leader in mid-batch: each mail goes out, once."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Kannon
from tests.support.nats_cluster import Cluster, running_cluster

DOMAIN = "example.com"
MAILS = 500


@pytest.fixture
async def box() -> AsyncIterator[Inbox]:
    async with inbox() as box:
        yield box


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with running_cluster(folder) as cluster:
        await cluster.ready()
        yield cluster


async def test_the_leader_dies_in_mid_batch(
    tmp_path: Path, empty_postgres_url: str, cluster: Cluster, box: Inbox
) -> None:
    routes = [{"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}]
    extra = {
        "KANNON_POSTGRES__URL": empty_postgres_url,
        "KANNON_NATS__URL": cluster.url,
        "KANNON_NATS__REPLICAS": "3",
        "KANNON_SENDER__ROUTES": json.dumps(routes),
        "KANNON_SENDER__CONCURRENCY": "20",
    }
    kannon = Kannon(tmp_path / "data", extra, ["--migrate"])
    try:
        await kannon.start().ready()
        client = kannon.client()
        await client.add_domain(DOMAIN)
        recipients = [Recipient(email=f"reader{n}@inbox.test") for n in range(MAILS)]
        await client.send(
            SendHTMLReq(sender=Sender(email=f"news@{DOMAIN}"), subject="x", html="<p>x</p>", recipients=recipients)
        )
        with anyio.fail_after(60):
            while len(box.mails) < MAILS // 5:
                await anyio.sleep(0.001)
        cluster.kill(await cluster.leader_of("kannon_sending"))
        outcomes = await client.outcomes(DOMAIN, MAILS, seconds=90)
        client.close()
        assert set(outcomes.values()) == {"delivered"}
        assert box.copies() == {recipient.email: 1 for recipient in recipients}
        assert await kannon.stop() == 0
    finally:
        kannon.kill()
