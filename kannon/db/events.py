"""Reads events in the order in which they are stored, a page after a position.

In: a filter and a position. Out: pages of StoredEvent. Positions are drawn under the lock of lock_stats, so none is
visible before a lower one: a reader that goes on from the highest it has seen misses no event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.stats_read import read_event
from kannon.mail.event_filter import EventFilter, StoredEvent

SCAN = 10_000
"""Rows that a page reads at most, however few of them match: some tens of milliseconds."""
_NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class EventPage:
    """`next` is the position to go on from; `more`: there may be further events."""

    events: Sequence[StoredEvent]
    next: int
    more: bool


async def find_newest_position(db: Database) -> int:
    """Of the events that are visible now; 0 where there are none."""
    async with db.acquire() as connection:
        position: int = await queries.find_newest_position(connection)
    return position


async def find_last_position(db: Database) -> int:
    """The highest position that any event has or is about to have."""
    async with db.acquire() as connection:
        position: int = await queries.find_last_position(connection)
    return position


async def list_new_events(db: Database, *, after: int, take: int) -> list[StoredEvent]:
    """Of all domains."""
    async with db.acquire() as connection:
        return [_stored(row) async for row in queries.list_new_events(connection, after=after, take=take)]


async def list_events(
    db: Database, wanted: EventFilter, *, cursor: int | None, take: int, newest_first: bool = False
) -> EventPage:
    """After the position `cursor`, or before it with `newest_first`; None is the beginning."""
    scan = SCAN if wanted.is_sparse else take + 1
    where: dict[str, Any] = {
        "domain": wanted.domain,
        "message_id": wanted.message_id,
        "email": wanted.email,
        "tag": wanted.tag,
        "types": [kind.value for kind in wanted.types],
        "scan": scan,
        "take": take,
    }
    async with db.acquire() as connection:
        if newest_first:
            start = _NEWEST if cursor is None else cursor
            rows = [row async for row in queries.list_events_newest_first(connection, **where, before=start)]
        else:
            start = cursor or 0
            rows = [row async for row in queries.list_events(connection, **where, after=start)]
    last, scanned = rows[0]["last"], rows[0]["scanned"]
    events = [_stored(row) for row in rows if row["position"] is not None]
    if len(events) == take and take and events[-1].position != last:
        return EventPage(events, events[-1].position, more=True)
    return EventPage(events, start if last is None else last, more=scanned == scan)


def _stored(row: Any) -> StoredEvent:
    values = {name: value for name, value in row.items() if name not in ("last", "scanned")}
    return StoredEvent(values.pop("position"), read_event(values))
