"""Cancellations: rows are marked, which is committed and for good; then each is ended by whoever comes to it.

A marked row is not claimed any more. One that is with a sender already may still be delivered; if it comes back
undelivered, it is ended instead of tried again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.delivery import State


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A marked row that nobody has claimed."""

    id: int
    domain: str
    message_id: str
    email: str
    attempts: int
    cancelled_at: datetime


@dataclass(frozen=True, slots=True)
class Marked:
    """How many deliveries were marked: those that end without a further attempt, and those with a sender already."""

    cancelled: int
    under_way: int


@repeat_on_conflict
async def cancel_batch(db: Database, message_id: str) -> Marked | None:
    """None where there is no such batch. A second time marks nothing."""
    async with db.transaction() as connection:
        if await queries.mark_batch_cancelled(connection, message_id=message_id) is None:
            return None
        rows = queries.mark_cancelled(connection, message_id=message_id, delivery_id=0)
        return _marked([State(row["state"]) async for row in rows])


@repeat_on_conflict
async def cancel_delivery(db: Database, delivery_id: int) -> Marked:
    """Nothing where it has ended, or was marked before."""
    async with db.acquire() as connection:
        rows = queries.mark_cancelled(connection, message_id="", delivery_id=delivery_id)
        return _marked([State(row["state"]) async for row in rows])


@asynccontextmanager
async def ending(db: Database, *, page: int) -> AsyncIterator[list[Cancelled]]:
    """A page of marked rows that nobody has claimed, locked while the block runs; they are gone when it ends well, and
    as before when it does not."""
    async with db.transaction() as connection:
        rows = [Cancelled(**row) async for row in queries.lock_cancelled(connection, page=page)]
        yield rows
        if rows:
            await queries.delete_deliveries(connection, ids=[row.id for row in rows])


def _marked(states: list[State]) -> Marked:
    under_way = states.count(State.SENDING)
    return Marked(len(states) - under_way, under_way)
