"""Mail under way, as an operator sees and steers it: batches, waiting deliveries, timelines; cancel, pause, retry.

Out: values of kannon.mail.overview and events. What is with a sender already is never touched.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kannon.db.database import Database
from kannon.db.queries import queries
from kannon.db.stats_read import read_event
from kannon.mail.event import Event, EventType
from kannon.mail.overview import BatchProgress, BatchSummary, WaitingDelivery
from kannon.mail.states import State

TIMELINE_EVENTS = 1000
"""More than any retry window holds; opens and clicks beyond are left out."""


@dataclass(frozen=True, slots=True)
class Cancellable:
    """A row that nobody has claimed."""

    id: int
    domain: str
    message_id: str
    email: str
    attempts: int


async def list_batches(db: Database, domain: str, *, skip: int, take: int) -> tuple[list[BatchSummary], int]:
    """A page, newest first, and how many there are."""
    async with db.acquire() as connection:
        total: int = await queries.count_batches(connection, domain=domain)
        rows = queries.list_batches(connection, domain=domain, skip=skip, take=take)
        return [BatchSummary(**row) async for row in rows], total


async def find_batch_summary(db: Database, message_id: str) -> BatchSummary | None:
    async with db.acquire() as connection:
        row = await queries.find_batch_summary(connection, message_id=message_id)
    return None if row is None else BatchSummary(**row)


async def find_batch_progress(db: Database, message_id: str) -> BatchProgress | None:
    async with db.acquire() as connection:
        row = await queries.find_batch_summary(connection, message_id=message_id)
        if row is None:
            return None
        waiting = queries.count_waiting_by_state(connection, message_id=message_id)
        by_state = {State(r["state"]): r["count"] async for r in waiting}
        events = queries.count_events_by_type(connection, message_id=message_id)
        return BatchProgress(BatchSummary(**row), by_state, {EventType(r["type"]): r["count"] async for r in events})


async def list_waiting(
    db: Database, domain: str, *, message_id: str, email: str, state: str, skip: int, take: int
) -> tuple[list[WaitingDelivery], int]:
    """A page, the next due first, and how many there are; empty texts restrict nothing."""
    where = {"domain": domain, "message_id": message_id, "email": email, "state": state}
    async with db.acquire() as connection:
        total: int = await queries.count_waiting(connection, **where)
        rows = queries.list_waiting(connection, **where, skip=skip, take=take)
        return [_waiting(row) async for row in rows], total


async def find_timeline(db: Database, delivery_id: int) -> tuple[list[Event], WaitingDelivery | None]:
    """Oldest first; and where it stands, None when it has ended."""
    async with db.acquire() as connection:
        row = await queries.find_waiting(connection, delivery_id=delivery_id)
        events = queries.list_timeline(connection, delivery_id=delivery_id, take=TIMELINE_EVENTS)
        return [read_event(e) async for e in events], None if row is None else _waiting(row)


@asynccontextmanager
async def cancelling(db: Database, message_id: str, *, page: int) -> AsyncIterator[list[Cancellable]]:
    """A page of rows that nobody has claimed and nobody can claim while the block runs; they are gone when it ends
    well, and as before when it does not."""
    async with db.transaction() as connection:
        found = queries.lock_cancellable(connection, message_id=message_id, page=page)
        rows = [Cancellable(**row) async for row in found]
        yield rows
        await queries.delete_cancelled(connection, ids=[row.id for row in rows])


async def pause_batch(db: Database, message_id: str) -> bool:
    """False where there is no such batch."""
    async with db.transaction() as connection:
        if await queries.pause_batch(connection, message_id=message_id) is None:
            return False
        await queries.pause_waiting(connection, message_id=message_id)
        return True


async def resume_batch(db: Database, message_id: str) -> bool:
    """False where there is no such batch."""
    async with db.transaction() as connection:
        if await queries.resume_batch(connection, message_id=message_id) is None:
            return False
        await queries.resume_waiting(connection, message_id=message_id)
        return True


async def retry_now(db: Database, message_id: str, delivery_id: int) -> int:
    """How many will be tried at once; `delivery_id` 0: all of the batch that wait."""
    async with db.acquire() as connection:
        rows = queries.retry_now(connection, message_id=message_id, delivery_id=delivery_id)
        return len([row async for row in rows])


def _waiting(row: Any) -> WaitingDelivery:
    return WaitingDelivery(**(dict(row) | {"state": State(row["state"])}))
