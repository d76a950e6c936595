"""Writes events into `stats` and `aggregated_stats`, and manages the partitions of `stats`.

A partition holds one week, Monday to Monday UTC. It is created before the first event that needs it, and dropped once
all of it is older than the retention.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import asyncpg

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.guard import PausedBatch, pause_batches
from kannon.db.pool import AWAY, Database, describe
from kannon.db.queries import queries
from kannon.errors import Unavailable
from kannon.mail.bounce.hard import is_hard_bounce
from kannon.mail.event import Event, EventType
from kannon.mail.guard import NO_GUARD, GuardRule
from kannon.mail.suppression import FIRST_BOUNCE_KEPT, SECOND_BOUNCE_AFTER, Suppression, address_key

if TYPE_CHECKING:
    from kannon.db.pool import Connection

WEEK = timedelta(days=7)
APART = timedelta(days=8)  # between two times of one event: longer than the streams store its envelope, and then itself
_PREFIX = "stats_"
_DDL_SECONDS = 30
_UNLOCK_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """The new events of a page, counted by domain and type, the ids of those that suppressed an address, the number
    of events queued for webhook endpoints, and the batches that the guard paused."""

    fresh: Counter[tuple[str, EventType]]
    suppressed: frozenset[str] = frozenset()
    queued: int = 0
    paused: tuple[PausedBatch, ...] = ()


@repeat_on_conflict
async def insert_events(
    db: Database,
    events: Sequence[Event],
    suppressions: Sequence[Suppression] = (),
    guard: GuardRule = NO_GUARD,
) -> Stored:
    """All or nothing. The call may be repeated: an event that is stored already neither counts nor suppresses, also
    where its repeat has another time. `suppressions` are those that events of the page call for; `guard` is the rule
    for domains that have none of their own. The partitions must exist (`ensure_partitions`). Raises Unavailable where
    one was dropped meanwhile."""
    # In the order of their ids, so that two pages with the same events (a bounce comes on two streams) cannot deadlock.
    page = sorted({event.event_id: event for event in events}.values(), key=lambda event: event.event_id)
    async with db.transaction() as connection:
        await queries.lock_stats(connection)
        try:
            row = await queries.insert_events(
                connection,
                apart=APART,
                event_ids=[e.event_id for e in page],
                ats=[e.at for e in page],
                types=[e.type.value for e in page],
                domains=[e.domain for e in page],
                message_ids=[e.message_id for e in page],
                emails=[e.email for e in page],
                delivery_ids=[e.delivery_id for e in page],
                attempts=[e.attempt for e in page],
                tracking_modes=[e.tracking_mode for e in page],
                permanents=[e.permanent for e in page],
                codes=[e.code for e in page],
                enhanced_statuses=[e.enhanced_status for e in page],
                texts=[e.text for e in page],
                stages=[e.stage for e in page],
                hosts=[e.host for e in page],
                tls=[e.tls for e in page],
                retry_afters=[e.retry_after_seconds for e in page],
                user_agents=[e.user_agent for e in page],
                ips=[e.ip for e in page],
                urls=[e.url for e in page],
                suspected_machines=[e.suspected_machine for e in page],
                dead_event_ids=[e.event_id for e in page if is_hard_bounce(e)],
                suppress_event_ids=[s.event_id for s in suppressions],
                suppress_addresses=[address_key(s.email) for s in suppressions],
                suppress_expiries=[s.expires_at for s in suppressions],
                suppress_needs_second=[s.needs_second for s in suppressions],
                second_after=SECOND_BOUNCE_AFTER,
                first_kept=FIRST_BOUNCE_KEPT,
            )
        except asyncpg.CheckViolationError as error:
            # A type is an EventType, so the check that failed is the partition's: there is none for the row.
            raise Unavailable(f"PostgreSQL: {describe(error)}") from error
        fresh = Counter({(domain, EventType(kind)): count for domain, kind, count in row["fresh"]})
        paused = await pause_batches(connection, row["watched"], guard)
        queued = row["queued"] + sum(each.queued for each in paused)
        return Stored(fresh, frozenset(row["suppressed"]), queued, tuple(paused))


def week_of(at: datetime) -> date:
    """The Monday (UTC) that names the partition."""
    day = at.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


@repeat_on_conflict
async def ensure_partitions(db: Database, weeks: Iterable[date]) -> None:
    """Created as tables, then attached, which blocks no reader or writer of the other partitions."""
    async with db.acquire() as connection:
        existing = {row["name"] async for row in queries.list_stats_partitions(connection)}
        for week in sorted(weeks):
            name = f"{_PREFIX}{week:%Y%m%d}"
            if name in existing:
                continue
            # The name and the dates are computed above, not input: DDL takes no parameters.
            async with connection.transaction():
                await queries.lock_keys(connection)
                if await connection.fetchval("SELECT to_regclass($1) IS NULL", name):
                    await connection.execute(f"CREATE TABLE {name} (LIKE stats INCLUDING ALL)", timeout=_DDL_SECONDS)
                    await connection.execute(
                        f"ALTER TABLE stats ATTACH PARTITION {name} FOR VALUES "
                        f"FROM ('{week:%Y-%m-%d} 00:00+00') TO ('{week + WEEK:%Y-%m-%d} 00:00+00')",
                        timeout=_DDL_SECONDS,
                    )


async def drop_old_partitions(db: Database, before: datetime) -> list[date]:
    """Drops the partitions all of whose events are older; returns their weeks. Readers and writers are not blocked: a
    partition is detached first, which waits for its readers. Raises Unavailable where that takes too long; the next
    call finishes it. Does nothing while another process drops partitions."""
    async with db.acquire() as connection, _retention_lock(connection) as locked:
        if not locked:
            return []
        dropped = []
        for name in [row["name"] async for row in queries.list_detached_partitions(connection)]:
            if _end(name) <= before:
                dropped.append(await _drop(connection, name))
        partitions = [(row["name"], row["detaching"]) async for row in queries.list_stats_partitions(connection)]
        for name, detaching in sorted(partitions, key=lambda partition: not partition[1]):
            if detaching or _end(name) <= before:
                how = "FINALIZE" if detaching else "CONCURRENTLY"
                await connection.execute(f"ALTER TABLE stats DETACH PARTITION {name} {how}", timeout=_DDL_SECONDS)
                dropped.append(await _drop(connection, name))
        await queries.delete_old_anonymous_events(connection, before=before)
        return dropped


@asynccontextmanager
async def _retention_lock(connection: "Connection") -> AsyncIterator[bool]:
    """False where another process has the lock. The lock belongs to the session, so a connection that may still hold it
    is not used again."""
    locked = await queries.try_lock_retention(connection)
    try:
        yield locked
    finally:
        if locked:
            with anyio.CancelScope(shield=True):
                try:
                    with anyio.fail_after(_UNLOCK_SECONDS):
                        await queries.unlock_retention(connection)
                except AWAY:
                    connection.terminate()


async def _drop(connection: "Connection", name: str) -> date:
    await connection.execute(f"DROP TABLE {name}", timeout=_DDL_SECONDS)
    return (_end(name) - WEEK).date()


def _end(partition: str) -> datetime:
    return datetime.strptime(partition.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC) + WEEK
