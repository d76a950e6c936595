"""Totals, hours and pages come from the counters, and agree with the rows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from kannon.db import stats_read
from kannon.db.pool import Database
from kannon.db.queries import SQL
from kannon.db.stats_read import Span, count_stats_by_hour, list_aggregated_stats, list_stats
from kannon.db.stats_write import WEEK, drop_old_partitions, ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from kannon.mail.tracking import TrackingMode

START = datetime(2026, 3, 7, 20, tzinfo=UTC)
STEP = timedelta(minutes=7)
COUNT = 700
ALL = Span(START, START + COUNT * STEP)


def event(number: int) -> Event:
    """Every third an open, of which every second is anonymous."""
    kind = EventType.OPENED if number % 3 == 0 else EventType.DELIVERED
    made = Event(f"e{number}", kind, "example.com", "msg_1@example.com", "a@x.org", START + number * STEP)
    return replace(made, tracking_mode=TrackingMode.ANONYMOUS) if number % 6 == 0 else made


@pytest.fixture
async def stored(db: Database) -> Database:
    """Over two weeks, whose border is in the middle."""
    events = [event(number) for number in range(COUNT)]
    await ensure_partitions(db, {week_of(each.at) for each in events})
    await insert_events(db, events)
    return db


async def total(db: Database, span: Span) -> int:
    return (await list_stats(db, "example.com", span, skip=0, take=0))[1]


async def test_counters_agree_with_rows_in_every_span(stored: Database) -> None:
    whole_hour = timedelta(hours=1)
    for begin in (timedelta(0), timedelta(minutes=1), whole_hour, timedelta(hours=2, microseconds=-1)):
        for length in (timedelta(0), STEP, whole_hour, 2 * whole_hour, timedelta(hours=5, minutes=3), WEEK):
            span = Span(START + begin, START + begin + length)
            rows = [each for n in range(COUNT) if span.from_time <= (each := event(n)).at < span.to_time and n % 6]
            assert await total(stored, span) == len(rows), span
            hours = {(c.type, c.hour): c.count for c in await count_stats_by_hour(stored, "example.com", span)}
            expected: dict[tuple[EventType, datetime], int] = {}
            for each in rows:
                key = (each.type, each.at.replace(minute=0, second=0))
                expected[key] = expected.get(key, 0) + 1
            assert hours == expected, span


async def test_a_page_begins_at_any_event(stored: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_read, "NEAR", 0)
    newest = [f"e{number}" for number in reversed(range(COUNT)) if number % 6]
    for skip in (0, 1, 7, 8, 9, 300, len(newest) - 1, len(newest), 10 * COUNT):
        page, _ = await list_stats(stored, "example.com", ALL, skip=skip, take=20)
        assert [each.event_id for each in page] == newest[skip : skip + 20], skip


async def test_rows_that_retention_has_dropped_do_not_count(stored: Database) -> None:
    second_week = START + WEEK
    await drop_old_partitions(stored, second_week - timedelta(days=second_week.weekday()))
    left = sum(1 for n in range(COUNT) if n % 6 and week_of(event(n).at) > week_of(START))
    assert await total(stored, ALL) == left
    assert sum(each.count for each in await list_aggregated_stats(stored, "example.com", ALL)) == COUNT


async def test_the_migration_counts_the_anonymous_events_of_older_versions(empty_postgres_url: str) -> None:
    connection = await asyncpg.connect(empty_postgres_url)
    migrations = sorted((SQL / "migrations").glob("*.sql"))
    position = next(i for i, path in enumerate(migrations) if path.stem.endswith("_growth"))
    for path in migrations[:position]:
        await connection.execute(path.read_text())
    await connection.execute("CREATE TABLE stats_20260302 (LIKE stats INCLUDING ALL)")
    await connection.execute(
        "ALTER TABLE stats ATTACH PARTITION stats_20260302"
        " FOR VALUES FROM ('2026-03-02 00:00+00') TO ('2026-03-09 00:00+00')"
    )
    await connection.execute(
        "INSERT INTO stats (event_id, at, type, domain, message_id, email)"
        " SELECT 'e' || n, $1, 'opened', 'a.test', '', '' FROM generate_series(1, 3) n",
        START,
    )
    await connection.execute("INSERT INTO anonymous_events VALUES ('e4', $1), ('e5', $1)", START)
    await connection.execute(
        "INSERT INTO aggregated_stats VALUES ('a.test', $1, 'opened', 5), ('a.test', $1, 'delivered', 7)", START
    )
    await connection.execute(migrations[position].read_text())
    rows = await connection.fetch("SELECT type, count, anonymous FROM aggregated_stats ORDER BY type")
    await connection.close()
    assert [tuple(row) for row in rows] == [("delivered", 7, 0), ("opened", 5, 2)]
