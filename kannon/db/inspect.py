"""Mail under way, as an operator sees it: batches, waiting deliveries, timelines; and retrying now.

Out: values of kannon.mail.queue_view and events. Deliveries that a sender has already are never changed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.queue import keep_to_indexes
from kannon.db.stats_read import Span, read_event
from kannon.mail.delivery import State
from kannon.mail.event import Event, EventType
from kannon.mail.pauses import Scope
from kannon.mail.queue_view import BatchProgress, BatchSummary, EventCount, WaitingDelivery

TIMELINE_EVENTS = 1000
"""More than the attempts of any retry window; opens and clicks beyond are left out."""

SCAN = 200_000
"""Deliveries whose Message-IDs are made and compared, in some tenths of a second."""
MAX_TOTAL = 10_000
"""Waiting deliveries that a list counts."""
HELD = datetime.max.replace(tzinfo=UTC)
"""The time of a delivery that is held, as asyncpg writes PostgreSQL's infinity."""
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Selects deliveries. An empty field matches all."""

    message_id: str = ""
    delivery_id: int = 0
    domain: str = ""
    destinations: Sequence[str] = ()

    def log_fields(self) -> dict[str, object]:
        """The fields that are not empty, under the names that log events use."""
        fields = {
            "batch": self.message_id,
            "delivery": self.delivery_id,
            "domain": self.domain,
            "destinations": list(self.destinations),
        }
        return {name: value for name, value in fields.items() if value}


async def list_batches(
    db: Database, domain: str, made: Span, *, skip: int, take: int, tag: str = ""
) -> tuple[list[BatchSummary], int]:
    """A page of those created in the span, newest first, and the total. With a tag only the batches that have it."""
    where: dict[str, Any] = {"domain": domain, "from_time": made.from_time, "to_time": made.to_time}
    count, list_page = queries.count_batches, queries.list_batches
    if tag:
        where["tag"] = tag
        count, list_page = queries.count_tagged_batches, queries.list_tagged_batches
    async with db.acquire() as connection:
        total: int = await count(connection, **where)
        return [_summary(row) async for row in list_page(connection, **where, skip=skip, take=take)], total


async def list_batches_after(
    db: Database, domain: str, made: Span, *, after: tuple[datetime, str] | None, take: int, tag: str = ""
) -> list[BatchSummary]:
    """A page of those created in the span, the newest first, after the batch that was created then; an empty domain is
    every one. A tag needs a domain."""
    before_at, before_id = after or (made.to_time, "")
    async with db.acquire() as connection:
        rows = queries.list_batches_after(
            connection,
            domain=domain,
            tag=tag,
            from_time=made.from_time,
            before_at=min(before_at, made.to_time),
            before_id=before_id,
            take=take,
        )
        return [_summary(row) async for row in rows]


async def batch_exists(db: Database, message_id: str) -> bool:
    async with db.acquire() as connection:
        found: bool = await queries.batch_exists(connection, message_id=message_id)
    return found


async def find_batch_progress(db: Database, message_id: str) -> BatchProgress | None:
    async with db.acquire() as connection:
        row = await queries.find_batch_summary(connection, message_id=message_id)
        if row is None:
            return None
        waiting = queries.count_waiting_by_state(connection, message_id=message_id)
        by_state = {State(r["state"]): r["count"] async for r in waiting}
        found = queries.count_events_by_type(connection, message_id=message_id)
        events = {EventType(r["type"]): EventCount(r["count"], r["first_at"], r["last_at"]) async for r in found}
        return BatchProgress(_summary(row), by_state, events)


async def list_waiting(
    db: Database,
    *,
    domain: str,
    message_id: str,
    email: str,
    state: str,
    skip: int,
    take: int,
    tag: str = "",
    after: tuple[datetime, int] | None = None,
) -> tuple[list[WaitingDelivery], int, tuple[datetime, int] | None]:
    """A page, the next due first, the total, of which at most MAX_TOTAL are counted, and the place after which the next
    page begins; None: this is the last. An empty text restricts nothing. A tag needs a domain. After a place, or with a
    tag, the total or the place is not determined."""
    where = {"domain": domain, "message_id": message_id, "email": email, "state": state}
    async with keep_to_indexes(db) as connection:
        if tag:
            total: int = await queries.count_tagged_waiting(connection, **where, tag=tag, most=MAX_TOTAL)
            rows = queries.list_tagged_waiting(connection, **where, tag=tag, skip=skip, take=take)
            return [_waiting(row) async for row in rows], min(total, MAX_TOTAL), None
        total = 0 if after else await queries.count_waiting(connection, **where, most=MAX_TOTAL)
        after_at, after_id = after or (_BEGINNING, 0)
        rows = queries.list_waiting(connection, **where, after_at=after_at, after_id=after_id, skip=skip, take=take)
        page = [_waiting(row) async for row in rows]
    last = (page[-1].next_attempt_at or HELD, page[-1].id) if page and len(page) == take else None
    return page, min(total, MAX_TOTAL), last


async def find_waiting(db: Database, delivery_id: int) -> WaitingDelivery | None:
    """None where it has ended, or never existed."""
    async with db.acquire() as connection:
        row = await queries.find_waiting(connection, delivery_id=delivery_id)
    return None if row is None else _waiting(row)


async def find_timeline(db: Database, delivery_id: int) -> tuple[list[Event], WaitingDelivery | None]:
    """Events, oldest first, and the waiting delivery; None where it has ended."""
    waiting = await find_waiting(db, delivery_id)
    async with db.acquire() as connection:
        events = queries.list_timeline(connection, delivery_id=delivery_id, take=TIMELINE_EVENTS)
        return [read_event(e) async for e in events], waiting


async def find_delivery_id(db: Database, message_id: str, email: str) -> int | None:
    """The delivery of a batch to an address, waiting or ended."""
    async with db.acquire() as connection:
        found: int | None = await queries.find_delivery_id(connection, message_id=message_id, email=email)
    return found


async def find_by_message_id(db: Database, local: str, domain: str) -> int | None:
    """The delivery under way whose Message-ID begins so (kannon.mail.message_id); of a domain with more than SCAN of
    them only some are compared."""
    async with db.acquire() as connection:
        found: int | None = await queries.find_by_message_id(connection, local=local, domain=domain, scan=SCAN)
    return found


@repeat_on_conflict
async def retry_now(db: Database, which: DeliveryFilter) -> int:
    """Makes them due now; returns their number."""
    async with keep_to_indexes(db) as connection:
        count: int = await queries.retry_now(connection, **asdict(which))
    return count


def _summary(row: Any) -> BatchSummary:
    values = dict(row)
    values["metadata"] = json.loads(values["metadata"])
    return BatchSummary(**values)


def _waiting(row: Any) -> WaitingDelivery:
    values = dict(row)
    values["state"] = State(values["state"])
    values["paused_by"] = tuple(Scope(scope) for scope in values["paused_by"])
    return WaitingDelivery(**values)
