"""Cancellations: one transaction marks the rows, permanently; later ones end the marked rows.

A marked row is not claimed again. A delivery that a sender has already may still be delivered; if the sender returns it
undelivered, it ends instead of being retried.
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
    """A marked row that is not claimed."""

    id: int
    domain: str
    message_id: str
    email: str
    attempts: int
    cancelled_at: datetime


@dataclass(frozen=True, slots=True)
class Marked:
    """The numbers of deliveries marked: those that end without a further attempt, and those that a sender has
    already."""

    cancelled: int
    under_way: int


@repeat_on_conflict
async def cancel_batch(db: Database, message_id: str) -> Marked | None:
    """None where there is no such batch. A second call marks nothing."""
    async with db.transaction() as connection:
        if await queries.mark_batch_cancelled(connection, message_id=message_id) is None:
            return None
        rows = queries.mark_cancelled(connection, message_id=message_id, delivery_id=0)
        return _marked([State(row["state"]) async for row in rows])


@repeat_on_conflict
async def cancel_delivery(db: Database, delivery_id: int) -> Marked:
    """Marks nothing where the delivery has ended, or was marked before."""
    async with db.acquire() as connection:
        rows = queries.mark_cancelled(connection, message_id="", delivery_id=delivery_id)
        return _marked([State(row["state"]) async for row in rows])


@asynccontextmanager
async def ending(db: Database, *, page: int) -> AsyncIterator[list[Cancelled]]:
    """A page of marked rows that are not claimed, locked while the block runs. When it returns they are deleted; when
    it raises they stay."""
    async with db.transaction() as connection:
        rows = [Cancelled(**row) async for row in queries.lock_cancelled(connection, page=page)]
        yield rows
        if rows:
            await queries.delete_deliveries(connection, ids=[row.id for row in rows])


def _marked(states: list[State]) -> Marked:
    under_way = states.count(State.SENDING)
    return Marked(len(states) - under_way, under_way)
