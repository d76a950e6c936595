"""Pauses: `claim_due` holds each paused delivery that it reads, so that later claims do not read it again.

Ending a pause takes three steps, each committed before the next: it is marked as ended, which waits for the claims that
see it; its held deliveries are released, a page at a time; it is deleted. Any process that finds an ended pause
finishes it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.webhooks import queue_event
from kannon.mail.pauses import Pause, Scope, name_variants
from kannon.mail.webhook import WebhookEvent, WebhookType

if TYPE_CHECKING:
    from kannon.db.pool import Connection

_PAGE = 2000


@repeat_on_conflict
async def insert_pause(db: Database, scope: Scope, subject: str) -> Pause:
    """A second call changes nothing. A batch's new pause is an event for webhooks."""
    async with db.transaction() as connection:
        pause, _ = await pause_in(connection, scope, subject)
    return pause


async def pause_in(connection: "Connection", scope: Scope, subject: str, *, reason: str = "") -> tuple[Pause, int]:
    """`insert_pause` in the caller's transaction. Also returns how many webhook endpoints get the event. An existing
    pause takes over a reason."""
    since: datetime = await queries.insert_pause(
        connection, scope=scope, subject=subject, reason=reason, spellings=name_variants(scope, subject)
    )
    queued = 0
    if scope is Scope.BATCH and (row := await queries.find_paused_batch(connection, subject=subject)) is not None:
        queued = await queue_event(connection, row["domain"], _paused_event(row))
    return Pause(scope, subject, since, reason), queued


async def list_pauses(db: Database) -> list[Pause]:
    async with db.acquire() as connection:
        rows = queries.list_pauses(connection)
        return [Pause(Scope(r["scope"]), r["subject"], r["since"], r["reason"]) async for r in rows]


@repeat_on_conflict
async def end_pause(db: Database, scope: Scope, subject: str) -> None:
    """It holds no further deliveries; `finish_pauses` releases the held ones."""
    async with db.acquire() as connection:
        await queries.end_pause(connection, scope=scope, subject=subject)


@repeat_on_conflict
async def end_pauses_of_cancelled_batches(db: Database) -> None:
    """Also those that were set after the cancellation. `finish_pauses` then deletes them."""
    async with db.acquire() as connection:
        await queries.end_pauses_of_cancelled_batches(connection)


async def finish_pauses(db: Database) -> int:
    """Releases the deliveries that ended pauses hold; returns their number. Several processes may run it at once."""
    async with db.acquire() as connection:
        ended = [dict(row) async for row in queries.list_ended_pauses(connection)]
    released = after = 0
    while ended and (page := await _release_page(db, after)):
        released, after = released + len(page), max(page)
    for pause in ended:
        await _delete_pause(db, pause)
    return released


def _paused_event(row: Any) -> WebhookEvent:
    data = {"domain": row["domain"], "message_id": row["message_id"], "tag": row["tag"], "reason": row["reason"]}
    event_id = f"{row['message_id']}.paused.{int(row['since'].timestamp() * 1000)}"
    return WebhookEvent(event_id, WebhookType.BATCH_PAUSED, row["since"], data)


@repeat_on_conflict
async def _release_page(db: Database, after: int) -> list[int]:
    async with db.acquire() as connection:
        return [row["id"] async for row in queries.release_held(connection, after=after, page=_PAGE)]


@repeat_on_conflict
async def _delete_pause(db: Database, pause: Mapping[str, object]) -> None:
    async with db.acquire() as connection:
        await queries.delete_ended_pause(connection, **pause)
