"""The stats component's page, over real PostgreSQL and NATS."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio

from kannon.bus.bus import Bus
from kannon.bus.publish import Outgoing
from kannon.bus.streams import BOUNCES_STATS, STATS, STATS_SUBJECTS
from kannon.components.stats import Stats
from kannon.db.migrate import migrate
from kannon.db.pool import Database, open_database
from kannon.db.stats_write import drop_old_partitions
from kannon.embedded import DataDir, EmbeddedPostgres
from kannon.mail.event import Event, EventType
from kannon.mail.guard import Cause
from kannon.mail.suppression import Suppression, SuppressionRule
from kannon.mail.tracking import TrackingMode
from kannon.wire.event_pages import MAX_EVENTS
from kannon.wire.events import encode_event
from tests.support.cipher import make_cipher
from tests.support.patience import patience
from tests.support.pool import counters, event_rows, insert_domain

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def event(number: int, kind: EventType = EventType.DELIVERED, at: datetime = NOW) -> Event:
    return Event(f"e{number}", kind, "example.com", "msg_1@example.com", "a@example.org", at, delivery_id=number)


def make(db: Database, bus: Bus) -> Stats:
    return Stats(db, bus, retention=timedelta(days=365), rule=SuppressionRule(), clock=lambda: NOW)


@asynccontextmanager
async def running(stats: Stats) -> AsyncIterator[None]:
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(partial(stats.run, stop))
            yield
            stop.set()


async def test_events_become_rows_and_counters_once(db: Database, bus: Bus) -> None:
    async with running(make(db, bus)):
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
    assert len(await event_rows(db)) == 301


class Watch:
    """Keeps what the component tells of its own speed."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.fresh: Counter[tuple[str, EventType]] = Counter()

    def stored(
        self, events: Sequence[Event], fresh: Mapping[tuple[str, EventType], int], waited: Sequence[float]
    ) -> None:
        self.waited += waited
        self.fresh.update(fresh)

    def suppressed(self, suppressions: Sequence[Suppression]) -> None: ...

    def guard_paused(self, cause: Cause) -> None: ...


async def test_how_long_storing_takes_is_not_how_old_a_report_is(db: Database, bus: Bus) -> None:
    """A report is dated by a remote server: days ago, or in the future."""
    watch = Watch()
    stats = Stats(db, bus, retention=timedelta(days=365), rule=SuppressionRule(), clock=lambda: NOW, metrics=watch)
    old = replace(event(1, EventType.BOUNCED, NOW - timedelta(days=3)), stage="report")
    async with running(stats):
        await bus.publish_events(
            [old, event(2, at=NOW - timedelta(seconds=2)), event(3, at=NOW + timedelta(seconds=1))]
        )
        while await counters(db) != {"bounced": 1, "delivered": 2}:
            await anyio.lowlevel.checkpoint()
    assert sorted(watch.waited) == [0, 2]


async def test_partitions_past_the_retention_go_at_start(db: Database, bus: Bus) -> None:
    old, new = NOW - timedelta(days=40), NOW - timedelta(days=20)

    async def run_until(at: datetime, rows: list[tuple[int, str]]) -> None:
        async with running(Stats(db, bus, retention=timedelta(days=30), rule=SuppressionRule(), clock=lambda: at)):
            while await event_rows(db) != rows:
                await anyio.lowlevel.checkpoint()

    await bus.publish_events([event(1, at=old), event(2, at=new)])
    await run_until(new, [(1, "delivered"), (2, "delivered")])
    await run_until(NOW, [(2, "delivered")])
    assert await counters(db) == {"delivered": 2}


async def test_thousands_of_events_delivered_again_change_nothing(db: Database, bus: Bus) -> None:
    """Two processes share the work; every event comes again under another message id, bounces on both streams."""
    await insert_domain(db)
    kinds = [EventType.ACCEPTED, EventType.DELIVERED, EventType.OPENED, EventType.CLICKED, EventType.BOUNCED]
    page = [
        replace(event(n, kinds[n % 5]), enhanced_status="5.1.1", permanent=True, email=f"u{n}@x.org")
        for n in range(1, 4001)
    ]
    page += [
        replace(event(n, EventType.OPENED), tracking_mode=TrackingMode.ANONYMOUS, delivery_id=0, email="")
        for n in range(4001, 4501)
    ]
    bounces = [e for e in page if e.type is EventType.BOUNCED]

    async def contents() -> tuple[int, int, dict[str, int]]:
        async with db.acquire() as connection:
            rows = await connection.fetchval("SELECT count(*) FROM stats")
            suppressions = await connection.fetchval("SELECT count(*) FROM suppressions")
        return rows, suppressions, await counters(db)

    expected = (4000, 800, {"accepted": 800, "delivered": 800, "opened": 1300, "clicked": 800, "bounced": 800})
    async with running(make(db, bus)), running(make(db, bus)):
        for again in ("", ".again"):
            for start in range(0, len(page), 500):
                await bus._publish(
                    [
                        Outgoing(STATS_SUBJECTS[e.type], f"{e.event_id}{again}", encode_event(e))
                        for e in page[start : start + 500]
                    ]
                )
            await bus._publish(
                [Outgoing("kannon.bounce", f"{e.event_id}{again}", encode_event(e)) for e in reversed(bounces)]
            )
            for consumer in (STATS, BOUNCES_STATS):
                while (await bus.progress(consumer)).waiting:
                    await anyio.lowlevel.checkpoint()
            assert await contents() == expected
    assert (await bus.backlog("kannon_parked")).messages == 0


async def test_a_partition_that_another_process_dropped_is_made_again(db: Database, bus: Bus) -> None:
    async with running(make(db, bus)):
        await bus.publish_events([event(1)])
        while await event_rows(db) != [(1, "delivered")]:
            await anyio.lowlevel.checkpoint()
        while not await drop_old_partitions(db, NOW + timedelta(days=30)):  # it looks itself when it starts
            await anyio.lowlevel.checkpoint()
        await bus.publish_events([event(2)])
        while await event_rows(db) != [(2, "delivered")]:
            await anyio.lowlevel.checkpoint()
    assert await counters(db) == {"delivered": 2}


async def test_an_outage_of_the_database_loses_no_event(tmp_path: Path, bus: Bus) -> None:
    """The stream keeps them; the component stays, and goes on when the database is back."""
    with DataDir.open(tmp_path / "data") as data_dir:
        postgres = EmbeddedPostgres(data_dir.path, durable=False)
        await postgres.start()
        db = await open_database(postgres.url, cipher=make_cipher())
        try:
            await migrate(postgres.url)
            with patience():
                async with running(make(db, bus)):
                    await bus.publish_events([event(n) for n in range(100)])
                    while (await counters(db)) != {"delivered": 100}:
                        await anyio.lowlevel.checkpoint()
                    await postgres.stop()
                    await bus.publish_events([event(n) for n in range(100, 3000)])
                    while (await bus.progress(STATS)).waiting < math.ceil(2900 / MAX_EVENTS):
                        await anyio.lowlevel.checkpoint()
                    await postgres.start()
                    while (await bus.progress(STATS)).waiting:
                        await anyio.lowlevel.checkpoint()
                    assert await counters(db) == {"delivered": 3000}
                    assert len(await event_rows(db)) == 3000
        finally:
            await db.close()
            await postgres.stop()
