"""What the metrics read from the database: deliveries by state, suppressed addresses, connections in use."""

from dataclasses import dataclass

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.delivery import State


@dataclass(frozen=True, slots=True)
class StateCount:
    """`overdue_seconds`: how long the oldest of them has been due."""

    state: State
    count: int
    overdue_seconds: float


async def count_deliveries(db: Database) -> list[StateCount]:
    """States without deliveries are absent. Reads the whole queue: about 0.1 s for a million deliveries."""
    async with db.acquire() as connection:
        rows = queries.count_deliveries(connection)
        return [StateCount(State(row["state"]), row["count"], row["overdue_seconds"]) async for row in rows]


async def count_suppressions(db: Database) -> int:
    """Of all domains."""
    async with db.acquire() as connection:
        count: int = await queries.count_all_suppressions(connection)
        return count


def count_connections(db: Database) -> dict[str, int]:
    """Of the connection pool: in use, idle, and the maximum."""
    size, idle = db.pool.get_size(), db.pool.get_idle_size()
    return {"used": size - idle, "idle": idle, "max": db.size}
