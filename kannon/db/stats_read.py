"""Reads statistics: single events of a domain, and counts per type and hour (UTC).

In: a canonical domain and aware times, [from, to). Out: kannon.mail.event.Event and HourlyCount.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.event import Event, EventType, HourlyCount
from kannon.mail.tracking import TrackingMode

if TYPE_CHECKING:
    from kannon.db.pool import Connection

NEAR = 1000
"""Events that a page may skip one by one."""
MAX_TOTAL = 10_000
"""Events of a batch, or to an address, that a list counts."""


@dataclass(frozen=True, slots=True)
class Span:
    """[from, to)."""

    from_time: datetime
    to_time: datetime


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events. An empty field matches all. The case of `email` does not count."""

    message_id: str = ""
    email: str = ""
    types: Sequence[EventType] = ()
    tag: str = ""


@dataclass(frozen=True, slots=True)
class EventCursor:
    """The last event of a page: the next page begins after it."""

    at: datetime
    event_id: str


ALL: Final = EventFilter()


async def list_stats(
    db: Database,
    domain: str,
    span: Span,
    *,
    skip: int,
    take: int,
    which: EventFilter = ALL,
    after: EventCursor | None = None,
) -> tuple[list[Event], int]:
    """A page, newest first, ties by event id, and the total of the span. With a batch or an address at most MAX_TOTAL
    are counted."""
    bounds = {"domain": domain, "from_time": span.from_time, "to_time": span.to_time}
    before = after if after is not None and after.at < span.to_time else EventCursor(span.to_time, "")
    page = {"domain": domain, "from_time": span.from_time, "before_at": before.at, "before_id": before.event_id}
    async with _connection(db, which) as connection:
        total = await _count_chosen(connection, which, bounds)
        if not take:
            return [], total
        if which == EventFilter(tag=which.tag) and after is None and skip > NEAR:
            # Hours before the page are counted, not read.
            find_page = queries.find_tagged_stats_page if which.tag else queries.find_stats_page
            of_tag = {"tag": which.tag} if which.tag else {}
            start = await find_page(connection, **bounds, **of_tag, skip=skip)
            if start is not None:
                page["before_at"], skip = min(span.to_time, start["before"]), start["skip"]
        return await _list_chosen(connection, which, page | {"skip": skip, "take": take}), total


@asynccontextmanager
async def _connection(db: Database, which: EventFilter) -> AsyncIterator["Connection"]:
    if which.email and not which.message_id:
        async with db.transaction() as connection:
            await queries.keep_to_filters(connection)
            yield connection
    else:
        async with db.acquire() as connection:
            yield connection


async def _list_chosen(connection: "Connection", which: EventFilter, page: dict[str, Any]) -> list[Event]:
    types = [each.value for each in which.types]
    if which.message_id:
        batch = {"message_id": which.message_id, "email": which.email, "tag": which.tag, "types": types}
        rows = queries.list_stats_of_batch(connection, **page, **batch)
    elif which.email:
        rows = queries.list_stats_to_address(connection, **page, email=which.email, tag=which.tag, types=types)
    elif which.tag:
        rows = queries.list_tagged_stats(connection, **page, tag=which.tag, types=types)
    elif types:
        rows = queries.list_stats_of_types(connection, **page, types=types)
    else:
        rows = queries.list_stats(connection, **page)
    return [read_event(row) async for row in rows]


async def _count_chosen(connection: "Connection", which: EventFilter, bounds: dict[str, Any]) -> int:
    types = [each.value for each in which.types]
    total: int
    if which.message_id:
        batch = {"message_id": which.message_id, "email": which.email, "tag": which.tag, "types": types}
        total = await queries.count_stats_of_batch(connection, **bounds, **batch, most=MAX_TOTAL)
    elif which.email:
        address = {"email": which.email, "tag": which.tag, "types": types}
        total = min(MAX_TOTAL, await queries.count_stats_to_address(connection, **bounds, **address))
    elif which.tag:
        total = await queries.count_tagged_stats(connection, **bounds, tag=which.tag, types=types)
    else:
        total = await queries.count_stats(connection, **bounds, types=types)
    return total


async def count_stats_by_hour(db: Database, domain: str, span: Span, tag: str = "") -> list[HourlyCount]:
    """Of the single events that are still stored."""
    where = {"domain": domain, "from_time": span.from_time, "to_time": span.to_time}
    async with db.acquire() as connection:
        if tag:
            return [_hourly(row) async for row in queries.count_tagged_stats_by_hour(connection, **where, tag=tag)]
        return [_hourly(row) async for row in queries.count_stats_by_hour(connection, **where)]


async def list_aggregated_stats(db: Database, domain: str, span: Span, tag: str = "") -> list[HourlyCount]:
    """Of all events ever, anonymous ones included."""
    where = {"domain": domain, "from_time": span.from_time, "to_time": span.to_time}
    async with db.acquire() as connection:
        if tag:
            return [_hourly(row) async for row in queries.list_aggregated_tag_stats(connection, **where, tag=tag)]
        return [_hourly(row) async for row in queries.list_aggregated_stats(connection, **where)]


async def count_all_events_by_hour(db: Database, from_time: datetime) -> list[HourlyCount]:
    """Of all domains, since that time, anonymous events included."""
    async with db.acquire() as connection:
        return [_hourly(row) async for row in queries.count_all_events_by_hour(connection, from_time=from_time)]


async def count_engagement(
    db: Database, message_id: str, *, most_links: int
) -> tuple[list[HourlyCount], list[tuple[str, int]]]:
    """Opens and clicks of a batch by hour; and its links, the most clicked first, with their clicks."""
    async with db.acquire() as connection:
        hours = [_hourly(row) async for row in queries.count_engagement_by_hour(connection, message_id=message_id)]
        rows = queries.count_clicks_by_link(connection, message_id=message_id, take=most_links)
        return hours, [(row["url"], row["count"]) async for row in rows]


def _hourly(row: Any) -> HourlyCount:
    return HourlyCount(EventType(row["type"]), row["hour"], row["count"])


def read_event(row: Any) -> Event:
    values = dict(row)
    values["type"] = EventType(values["type"])
    values["metadata"] = json.loads(values["metadata"])
    values["tracking_mode"] = TrackingMode(values["tracking_mode"])
    return Event(**values)
