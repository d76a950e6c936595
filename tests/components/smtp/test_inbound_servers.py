"""The whole way on real servers: SMTP in, NATS, the statistics in PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.components.smtp import InboundSmtp
from kannon.components.smtp.registry import DatabaseRegistry
from kannon.components.stats import Stats
from kannon.config import Smtp
from kannon.db.pool import Database
from kannon.mail.bounce.address import make_bounce_address
from kannon.mail.event import Event, EventType
from kannon.mail.suppression import SuppressionRule
from tests.support.consume import events_of, take
from tests.support.inbound import FAILURE, Peer, running
from tests.support.patience import patience
from tests.support.pool import insert_batch


async def test_a_report_of_a_real_delivery(tmp_path: Path, db: Database, bus: Bus) -> None:
    (delivery_id,) = await insert_batch(db, ["user@remote.example"], state="sending")
    registry = DatabaseRegistry(db, bus)
    (secret,) = await registry.bounce_secrets()
    address = make_bounce_address(delivery_id, "example.com", secret, datetime.now(UTC) + timedelta(days=1))
    component = InboundSmtp(Smtp(listen="127.0.0.1:0", hostname="mx.test"), tmp_path, registry, bus)
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(lambda *, task_status: component.run(anyio.Event(), task_status=task_status))
            async with await anyio.connect_tcp(*component.addresses[0]) as stream:
                peer = Peer(stream)
                await peer.reply()
                await peer.say("EHLO remote.example")
                for _ in range(3):
                    assert await peer.send_mail([address, "postmaster@example.com"], FAILURE) == "250 2.0.0 OK"
                assert (await peer.send_mail(["postmaster@other.example"], FAILURE)).startswith("550")
            group.cancel_scope.cancel()
    assert (await bus.backlog("kannon_bounce")).messages == 1
    (bounce,) = await events_of(bus, streams.BOUNCES_STATS, 1)
    (event,) = await events_of(bus, streams.STATS, 1)
    assert bounce == event
    assert (event.type, event.delivery_id, event.email) == (EventType.BOUNCED, delivery_id, "user@remote.example")
    assert (event.permanent, event.code, event.enhanced_status) == (True, 550, "5.1.1")


async def test_a_delivery_that_the_statistics_do_not_know_yet_is_put_off(
    tmp_path: Path, db: Database, bus: Bus
) -> None:
    """It is over, so the pool has forgotten it, and its `accepted` still waits: a 550 would lose its bounce."""
    registry = DatabaseRegistry(db, bus)
    (secret,) = await registry.bounce_secrets()
    now = datetime.now(UTC)
    known, unknown = (make_bounce_address(n, "example.com", secret, now + timedelta(days=1)) for n in (7, 8))
    accepted = Event(
        "7.accepted", EventType.ACCEPTED, "example.com", "msg_1@example.com", "u@x.example", now, delivery_id=7
    )
    async with running(tmp_path, registry=registry, publisher=bus) as server, server.connect() as peer:
        await bus.publish_events([accepted])
        assert (await peer.send_mail([known], FAILURE)).startswith("451 4.3.0")
        stats = Stats(db, bus, retention=timedelta(days=30), rule=SuppressionRule(), clock=lambda: now)
        stop = anyio.Event()
        with patience():
            async with anyio.create_task_group() as group:
                await group.start(lambda *, task_status: stats.run(stop, task_status=task_status))
                while (await bus.progress(streams.STATS)).waiting:
                    await anyio.lowlevel.checkpoint()
                stop.set()
        await peer.say("RSET")
        assert (await peer.send_mail([known], FAILURE)).startswith("250")
        await take(bus, streams.STATS, 1)
        assert (await peer.send_mail([unknown], FAILURE)).startswith("550 5.1.1")
