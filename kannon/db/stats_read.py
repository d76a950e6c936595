"""Reads statistics: single events of a domain, and counts per type and hour (UTC).

In: a canonical domain and aware times, [from, to). Out: kannon.mail.event.Event and HourlyCount.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.event import Event, EventType, HourlyCount
from kannon.mail.tracking import TrackingMode

NEAR = 1000
"""Events that a page may skip one by one."""


@dataclass(frozen=True, slots=True)
class Span:
    """[from, to)."""

    from_time: datetime
    to_time: datetime


async def list_stats(db: Database, domain: str, span: Span, *, skip: int, take: int) -> tuple[list[Event], int]:
    """A page, newest first, ties by event id, and the total of the span."""
    where: dict[str, Any] = {"domain": domain, "from_time": span.from_time, "to_time": span.to_time}
    async with db.acquire() as connection:
        total: int = await queries.count_stats(connection, **where)
        if not take:
            return [], total
        if skip > NEAR:
            # Hours before the page are counted, not read.
            start = await queries.find_stats_page(connection, **where, skip=skip)
            if start is not None:
                where["to_time"], skip = min(span.to_time, start["before"]), start["skip"]
        return [read_event(row) async for row in queries.list_stats(connection, **where, skip=skip, take=take)], total


async def count_stats_by_hour(db: Database, domain: str, span: Span) -> list[HourlyCount]:
    """Of the single events that are still stored."""
    async with db.acquire() as connection:
        rows = queries.count_stats_by_hour(connection, domain=domain, from_time=span.from_time, to_time=span.to_time)
        return [_count(row) async for row in rows]


async def list_aggregated_stats(db: Database, domain: str, span: Span) -> list[HourlyCount]:
    """Of all events ever, anonymous ones included."""
    async with db.acquire() as connection:
        rows = queries.list_aggregated_stats(connection, domain=domain, from_time=span.from_time, to_time=span.to_time)
        return [_count(row) async for row in rows]


def _count(row: Any) -> HourlyCount:
    return HourlyCount(EventType(row["type"]), row["hour"], row["count"])


def read_event(row: Any) -> Event:
    values = dict(row)
    values["type"] = EventType(values["type"])
    values["tracking_mode"] = TrackingMode(values["tracking_mode"])
    return Event(**values)
