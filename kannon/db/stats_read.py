"""Reads statistics: single events of a domain, and counts per type and hour (UTC).

In: a canonical domain and aware times, [from, to). Out: kannon.mail.event.Event and HourlyCount.
"""

import json
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


async def list_stats(
    db: Database, domain: str, span: Span, *, skip: int, take: int, tag: str = ""
) -> tuple[list[Event], int]:
    """A page, newest first, ties by event id, and the total of the span. With a tag only the events that have it."""
    where: dict[str, Any] = {"domain": domain, "from_time": span.from_time, "to_time": span.to_time}
    count, find_page, list_page = queries.count_stats, queries.find_stats_page, queries.list_stats
    if tag:
        where["tag"] = tag
        count, find_page = queries.count_tagged_stats, queries.find_tagged_stats_page
        list_page = queries.list_tagged_stats
    async with db.acquire() as connection:
        total: int = await count(connection, **where)
        if not take:
            return [], total
        if skip > NEAR:
            # Hours before the page are counted, not read.
            start = await find_page(connection, **where, skip=skip)
            if start is not None:
                where["to_time"], skip = min(span.to_time, start["before"]), start["skip"]
        return [read_event(row) async for row in list_page(connection, **where, skip=skip, take=take)], total


async def count_stats_by_hour(db: Database, domain: str, span: Span, tag: str = "") -> list[HourlyCount]:
    """Of the single events that are still stored."""
    where = {"domain": domain, "from_time": span.from_time, "to_time": span.to_time}
    async with db.acquire() as connection:
        if tag:
            return [_count(row) async for row in queries.count_tagged_stats_by_hour(connection, **where, tag=tag)]
        return [_count(row) async for row in queries.count_stats_by_hour(connection, **where)]


async def list_aggregated_stats(db: Database, domain: str, span: Span, tag: str = "") -> list[HourlyCount]:
    """Of all events ever, anonymous ones included."""
    where = {"domain": domain, "from_time": span.from_time, "to_time": span.to_time}
    async with db.acquire() as connection:
        if tag:
            return [_count(row) async for row in queries.list_aggregated_tag_stats(connection, **where, tag=tag)]
        return [_count(row) async for row in queries.list_aggregated_stats(connection, **where)]


def _count(row: Any) -> HourlyCount:
    return HourlyCount(EventType(row["type"]), row["hour"], row["count"])


def read_event(row: Any) -> Event:
    values = dict(row)
    values["type"] = EventType(values["type"])
    values["metadata"] = json.loads(values["metadata"])
    values["tracking_mode"] = TrackingMode(values["tracking_mode"])
    return Event(**values)
