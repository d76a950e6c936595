"""Deletes batches past their retention, and the transient templates that only they used, a page at a time.

In: a time. Out: the number of deleted rows. A batch with a waiting delivery or a stored event stays, however old.
"""

from datetime import UTC, datetime

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries

_PAGE = 500
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@repeat_on_conflict
async def delete_old_batches(db: Database, before: datetime) -> int:
    """Those created before that time, with their attachments and pauses."""
    deleted, after_time, after_id = 0, _BEGINNING, ""
    while True:
        async with db.acquire() as connection:
            rows = [
                (row["created_at"], row["message_id"])
                async for row in queries.list_old_batches(
                    connection, before=before, after_time=after_time, after_id=after_id, page=_PAGE
                )
            ]
            deleted += _affected(await queries.delete_unneeded_batches(connection, ids=[m for _, m in rows]))
            if len(rows) < _PAGE:
                await queries.delete_pauses_of_no_batch(connection)
                return deleted
        after_time, after_id = rows[-1]


@repeat_on_conflict
async def delete_old_templates(db: Database, before: datetime) -> int:
    """Transient ones created before that time that no batch uses any longer."""
    deleted, after = 0, ""
    while True:
        async with db.transaction() as connection:
            found = queries.lock_old_templates(connection, before=before, after=after, page=_PAGE)
            ids = [row["template_id"] async for row in found]
            deleted += _affected(await queries.delete_unneeded_templates(connection, ids=ids))
        if len(ids) < _PAGE:
            return deleted
        after = ids[-1]


def _affected(status: str) -> int:
    """`DELETE 12` → 12."""
    return int(status.rsplit(" ", 1)[1])
