"""Presence: each dispatcher and validator holds a lock of a session of its own while its process lives.

In: a database and what the process claims. Out: a call when another process that claims the same is gone. PostgreSQL
ends the session of a process that was killed at once, so its claims need not wait for their lease. A machine that
vanishes without closing its connections keeps its lock for longer: there the lease is the net.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
import structlog

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.errors import KannonError

log = structlog.get_logger()

DISPATCHER, VALIDATOR = 1, 2
POLL_SECONDS = 1.0

OnGone = Callable[[datetime], Awaitable[None]]


async def watch_presence(db: Database, role: int, on_gone: OnGone) -> None:
    """Until cancelled. Calls `on_gone` with PostgreSQL's time when another process of this role is gone, and at the
    start where no other is there; again after an error."""
    while True:
        try:
            async with db.session() as connection:
                await queries.hold_presence(connection, role=role)
                await _watch(connection, role, on_gone)
        except KannonError as error:
            log.debug("presence interrupted", why=str(error))
        await anyio.sleep(POLL_SECONDS)


async def _watch(connection: object, role: int, on_gone: OnGone) -> None:
    present: set[int] | None = None
    pending = False
    while True:
        rows = [row async for row in queries.list_presence(connection, role=role)]
        now, others = rows[0]["now"], {row["pid"] for row in rows if not row["own"]}
        pending = pending or (not others if present is None else bool(present - others))
        present = others
        if pending:
            try:
                await on_gone(now)
            except KannonError as error:
                log.warning("cannot release the claims of a process that is gone; retrying", why=str(error))
            else:
                pending = False
        await anyio.sleep(POLL_SECONDS)
