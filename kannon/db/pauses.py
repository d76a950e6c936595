"""Pauses: what they hold is put aside by `claim_due` when it comes to it, so that claims never look at it again.

Ending one takes three steps, each committed before the next: it is marked as ended, which claims that still see it
delay; what it put aside is released, a page at a time; it is deleted. Whoever finds an ended one finishes it.
"""

from collections.abc import Mapping
from datetime import datetime

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.pauses import Pause, Scope, name_variants

_PAGE = 2000


@repeat_on_conflict
async def insert_pause(db: Database, scope: Scope, subject: str) -> Pause:
    """A second time it changes nothing."""
    async with db.acquire() as connection:
        since: datetime = await queries.insert_pause(
            connection, scope=scope, subject=subject, spellings=name_variants(scope, subject)
        )
    return Pause(scope, subject, since)


async def list_pauses(db: Database) -> list[Pause]:
    async with db.acquire() as connection:
        return [Pause(Scope(r["scope"]), r["subject"], r["since"]) async for r in queries.list_pauses(connection)]


@repeat_on_conflict
async def end_pause(db: Database, scope: Scope, subject: str) -> None:
    """It holds nothing from now on; `finish_pauses` releases what it has put aside."""
    async with db.acquire() as connection:
        await queries.end_pause(connection, scope=scope, subject=subject)


async def finish_pauses(db: Database) -> int:
    """Releases what ended pauses have put aside; how many. May be repeated, and run by several at once."""
    async with db.acquire() as connection:
        ended = [dict(row) async for row in queries.list_ended_pauses(connection)]
    released = after = 0
    while ended and (page := await _release_page(db, after)):
        released, after = released + len(page), max(page)
    for pause in ended:
        await _delete_pause(db, pause)
    return released


@repeat_on_conflict
async def _release_page(db: Database, after: int) -> list[int]:
    async with db.acquire() as connection:
        return [row["id"] async for row in queries.release_aside(connection, after=after, page=_PAGE)]


@repeat_on_conflict
async def _delete_pause(db: Database, pause: Mapping[str, object]) -> None:
    async with db.acquire() as connection:
        await queries.delete_ended_pause(connection, **pause)
