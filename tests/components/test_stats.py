"""The stats component's page, over real PostgreSQL and NATS."""

from datetime import UTC, datetime, timedelta
from functools import partial

import anyio

from kannon.bus.bus import Bus
from kannon.bus.publish import Outgoing
from kannon.components.stats import Stats
from kannon.db.database import Database
from kannon.mail.event import Event, EventType
from kannon.mail.suppression import SuppressionRule
from tests.support.pool import counters, event_rows

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def event(number: int, kind: EventType = EventType.DELIVERED, at: datetime = NOW) -> Event:
    return Event(f"e{number}", kind, "example.com", "msg_1@example.com", "a@example.org", at, delivery_id=number)


async def settled(bus: Bus, stream: str = "kannon_stats") -> None:
    while (await bus.backlog(stream)).messages:
        await anyio.lowlevel.checkpoint()


async def test_events_become_rows_and_counters_once(db: Database, bus: Bus) -> None:
    stats = Stats(db, bus, retention=timedelta(days=365), rule=SuppressionRule(), clock=lambda: NOW)
    stop = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            await group.start(partial(stats.run, stop))
            await bus.publish_events([event(n, EventType.ACCEPTED) for n in range(1, 301)])
            bounced = event(7, EventType.BOUNCED, NOW + timedelta(days=30))
            # The inbound server says the same on both subjects: it is one event.
            await bus.publish_events([bounced])
            await bus.publish_bounces([bounced])
            await bus._publish([Outgoing("kannon.stats.open", "junk", b"\xff\xff no event")])
            while (await counters(db)) != {"accepted": 300, "bounced": 1}:
                await anyio.lowlevel.checkpoint()
            while (await bus.backlog("kannon_parked")).messages != 1:
                await anyio.lowlevel.checkpoint()
            stop.set()
    assert len(await event_rows(db)) == 301


async def test_partitions_past_the_retention_go_at_start(db: Database, bus: Bus) -> None:
    old, new = NOW - timedelta(days=40), NOW - timedelta(days=20)

    async def run_once(at: datetime) -> None:
        stop = anyio.Event()
        stats = Stats(db, bus, retention=timedelta(days=30), rule=SuppressionRule(), clock=lambda: at)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                await group.start(partial(stats.run, stop))
                while len(await event_rows(db)) < 2 and at == new:
                    await anyio.lowlevel.checkpoint()
                stop.set()

    await bus.publish_events([event(1, at=old), event(2, at=new)])
    await run_once(new)
    assert await event_rows(db) == [(1, "delivered"), (2, "delivered")]
    await run_once(NOW)
    assert await event_rows(db) == [(2, "delivered")]
    assert await counters(db) == {"delivered": 2}
