"""What the metrics read from the database: deliveries by state, suppressed addresses, connections in use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.queue import keep_to_indexes
from kannon.mail.delivery import State

EXACT = 10_000
"""Deliveries of a state that are counted. More are estimated."""
SAMPLE_PAGES = 1000
"""Of 8 kB, some 30,000 deliveries: an estimate is mostly within 5 %."""


@dataclass(frozen=True, slots=True)
class StateCount:
    """`overdue_seconds`: how long the oldest of them has been due."""

    state: State
    count: int
    overdue_seconds: float


async def count_deliveries(db: Database) -> list[StateCount]:
    """States without deliveries are absent. Costs the same however many deliveries wait: from EXACT on, `count` is an
    estimate."""
    async with keep_to_indexes(db) as connection:
        rows = [row async for row in queries.count_deliveries(connection, most=EXACT)]
        estimates = {}
        if any(row["count"] == EXACT for row in rows):
            sample = queries.estimate_deliveries(connection, pages=SAMPLE_PAGES)
            estimates = {row["state"]: row["count"] async for row in sample}
    return [StateCount(State(row["state"]), _best(row, estimates), row["overdue_seconds"]) for row in rows]


def _best(row: Any, estimates: Mapping[str, int]) -> int:
    counted: int = row["count"]
    return counted if counted < EXACT else max(counted, estimates.get(row["state"], 0))


async def count_suppressions(db: Database) -> int:
    """Of all domains; above 10,000 an estimate."""
    async with db.acquire() as connection:
        count: int = await queries.count_all_suppressions(connection)
        return count


def count_connections(db: Database) -> dict[str, int]:
    """Of the connection pool: in use, idle, and the maximum."""
    size, idle = db.pool.get_size(), db.pool.get_idle_size()
    return {"used": size - idle, "idle": idle, "max": db.size}
