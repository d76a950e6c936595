"""Events into rows and counters: once each, anonymous ones only counted, partitions made and dropped."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import anyio
import asyncpg
import pytest

from kannon.db.pool import Database
from kannon.db.stats_write import WEEK, drop_old_partitions, ensure_partitions, insert_events, week_of
from kannon.errors import Unavailable
from kannon.mail.event import REPORT, Event, EventType
from kannon.mail.suppression import Cause, Suppression
from kannon.mail.tracking import TrackingMode
from tests.support.patience import patience
from tests.support.pool import counters, event_rows

AT = datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC)


def event(number: int, kind: EventType = EventType.DELIVERED, at: datetime = AT) -> Event:
    return Event(f"e{number}", kind, "example.com", "msg_1@example.com", "a@example.org", at, delivery_id=number)


async def test_events_are_counted_once_however_often_they_come(db: Database) -> None:
    await ensure_partitions(db, [week_of(AT)])
    page = [event(1), event(2), event(2), event(3, EventType.BOUNCED)]
    delivered, bounced = ("example.com", EventType.DELIVERED), ("example.com", EventType.BOUNCED)
    assert (await insert_events(db, page)).fresh == {delivered: 2, bounced: 1}
    assert (await insert_events(db, [*page, event(4)])).fresh == {delivered: 1}
    assert await event_rows(db) == [(1, "delivered"), (2, "delivered"), (3, "bounced"), (4, "delivered")]
    assert await counters(db) == {"delivered": 3, "bounced": 1}


@pytest.mark.parametrize("later", [timedelta(seconds=11), timedelta(days=3)])
async def test_a_repeat_of_an_event_at_another_time_is_the_same_event(db: Database, later: timedelta) -> None:
    """A sender that crashed after publishing an outcome delivers again; in the same week, or in the next one."""
    sunday = datetime(2026, 3, 8, 12, tzinfo=UTC)
    await ensure_partitions(db, [week_of(sunday), week_of(sunday + later)])
    assert (await insert_events(db, [event(1, at=sunday)])).fresh.total() == 1
    assert (await insert_events(db, [event(1, at=sunday + later), event(2, at=sunday + later)])).fresh.total() == 1
    assert (await insert_events(db, [event(2, at=sunday)])).fresh.total() == 0
    assert await event_rows(db) == [(1, "delivered"), (2, "delivered")]
    assert await counters(db) == {"delivered": 2}


async def test_two_processes_that_store_one_event_at_two_times_store_it_once(db: Database) -> None:
    await ensure_partitions(db, [week_of(AT)])
    async with anyio.create_task_group() as group:
        for second in range(8):
            group.start_soon(insert_events, db, [event(n, at=AT + timedelta(seconds=second)) for n in range(200)])
    assert await counters(db) == {"delivered": 200}


async def test_anonymous_events_are_counted_and_not_kept(db: Database) -> None:
    await ensure_partitions(db, [week_of(AT)])
    opened = replace(event(1, EventType.OPENED), tracking_mode=TrackingMode.ANONYMOUS, delivery_id=0)
    assert (await insert_events(db, [opened, event(2)])).fresh.total() == 2
    assert (await insert_events(db, [opened])).fresh.total() == 0
    assert await event_rows(db) == [(2, "delivered")]
    assert await counters(db) == {"opened": 1, "delivered": 1}


async def test_a_report_of_a_delivery_counts_once_at_any_date(db: Database) -> None:
    """A second report of one delivery has the first one's id, and a date of its own."""
    weeks = [AT + number * WEEK for number in range(3)]
    await ensure_partitions(db, [week_of(at) for at in weeks])
    reports = [replace(event(7, EventType.BOUNCED, at), stage=REPORT, event_id="7.report.bounced") for at in weeks]
    assert (await insert_events(db, [event(7), *reports[:2]])).fresh.total() == 2
    for report in reports:
        suppression = Suppression(
            "example.com", "a@example.org", Cause.BOUNCED, report.at, None, event_id=report.event_id
        )
        stored = await insert_events(db, [report, event(8)], [suppression])
        assert stored.suppressed == frozenset()
    assert await counters(db) == {"delivered": 2, "bounced": 1}


async def test_hours_are_utc(db: Database) -> None:
    await ensure_partitions(db, [week_of(AT)])
    await insert_events(db, [event(1), event(2, at=AT + timedelta(seconds=1))])
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT hour, count FROM aggregated_stats ORDER BY hour")
    assert [tuple(r) for r in rows] == [
        (datetime(2026, 3, 4, 23, tzinfo=UTC), 1),
        (datetime(2026, 3, 5, 0, tzinfo=UTC), 1),
    ]


async def test_partitions_are_weeks_and_go_when_all_of_them_is_old(db: Database) -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    assert week_of(monday - timedelta(microseconds=1)) == monday.date() - timedelta(days=7)
    weeks = [week_of(monday), week_of(monday + timedelta(days=7))]
    await ensure_partitions(db, weeks)
    await ensure_partitions(db, weeks)
    await insert_events(db, [event(1, at=monday), event(2, at=monday + timedelta(days=7))])
    assert await drop_old_partitions(db, monday + timedelta(days=6)) == []
    assert await drop_old_partitions(db, monday + timedelta(days=7)) == [monday.date()]
    assert await event_rows(db) == [(2, "delivered")]
    assert await counters(db) == {"delivered": 2}


async def test_retention_stops_neither_readers_nor_writers(db: Database, postgres_url: str) -> None:
    """Somebody reads the old partition in a long transaction; meanwhile others read and write as ever."""
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    await ensure_partitions(db, [week_of(monday), week_of(monday + WEEK)])
    await insert_events(db, [event(1, at=monday), event(2, at=monday + WEEK)])
    reader = await asyncpg.connect(postgres_url)
    dropped: list[date] = []
    try:
        transaction = reader.transaction(isolation="repeatable_read")
        await transaction.start()
        assert await reader.fetchval("SELECT count(*) FROM stats") == 2

        async def drop() -> None:
            dropped.extend(await drop_old_partitions(db, monday + WEEK))

        with patience():
            async with anyio.create_task_group() as group:
                group.start_soon(drop)
                async with db.acquire() as connection:
                    while not await connection.fetchval("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"):
                        await anyio.lowlevel.checkpoint()
                assert (await insert_events(db, [event(3, at=monday + WEEK)])).fresh.total() == 1
                assert await event_rows(db) == [(2, "delivered"), (3, "delivered")]
                assert await reader.fetchval("SELECT count(*) FROM stats WHERE at < $1", monday + WEEK) == 1
                assert dropped == []
                await transaction.commit()
        assert dropped == [monday.date()]
    finally:
        await reader.close()


async def test_a_detachment_that_was_interrupted_is_finished_the_next_time(
    db: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    await ensure_partitions(db, [week_of(monday), week_of(monday + WEEK), week_of(monday + 2 * WEEK)])
    await insert_events(db, [event(1, at=monday), event(2, at=monday + WEEK), event(3, at=monday + 2 * WEEK)])
    monkeypatch.setattr("kannon.db.stats_write._DDL_SECONDS", 0.5)
    reader = await asyncpg.connect(postgres_url)
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM stats")
            with pytest.raises(Unavailable):
                await drop_old_partitions(db, monday + 2 * WEEK)
        assert await drop_old_partitions(db, monday + 2 * WEEK) == [monday.date(), (monday + WEEK).date()]
    finally:
        await reader.close()
    assert await event_rows(db) == [(3, "delivered")]


async def test_several_processes_may_drop_at_once(db: Database, postgres_url: str) -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    await ensure_partitions(db, [week_of(monday), week_of(monday + WEEK)])
    reader = await asyncpg.connect(postgres_url)
    dropped: list[date] = []

    async def drop() -> None:
        dropped.extend(await drop_old_partitions(db, monday + WEEK))

    try:
        transaction = reader.transaction()
        await transaction.start()
        await reader.fetchval("SELECT count(*) FROM stats")
        with patience():
            async with anyio.create_task_group() as group:
                group.start_soon(drop)
                async with db.acquire() as connection:
                    while not await connection.fetchval("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"):
                        await anyio.lowlevel.checkpoint()
                await drop()
                await transaction.commit()
    finally:
        await reader.close()
    assert dropped == [monday.date()]


async def test_a_detached_partition_is_dropped_at_the_next_run(db: Database) -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    await ensure_partitions(db, [week_of(monday), week_of(monday + WEEK)])
    async with db.acquire() as connection:
        await connection.execute("ALTER TABLE stats DETACH PARTITION stats_20260302 CONCURRENTLY")
        await connection.execute("CREATE TABLE stats_of_mine ()")
    assert await drop_old_partitions(db, monday + WEEK) == [monday.date()]
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT to_regclass('stats_20260302') IS NULL")
        assert await connection.fetchval("SELECT to_regclass('stats_of_mine') IS NOT NULL")
