"""Batches: stored when a send is accepted, loaded when its mails are built.

In: a `Batch` and its delivery rows. Template, batch, attachments and deliveries are stored all together or not at all:
a small batch is one statement; the deliveries of a large batch follow by COPY in the same transaction. COPY yields to
the event loop every few hundred rows, so that a large batch does not delay other calls.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.errors import NotFound
from kannon.mail.batch import Attachment, Batch, Content, Recipient

if TYPE_CHECKING:
    from kannon.db.pool import Connection

ONE_STATEMENT = 200
"""Deliveries up to which one statement is cheaper than a transaction with COPY."""
_ROWS_PER_YIELD = 250  # about 1 ms of encoding
_COLUMNS = ("message_id", "domain", "email", "fields", "opens", "links", "due_at", "next_attempt_at")


class DeliveryRow(NamedTuple):
    """A recipient's columns; `fields` is JSON. 100,000 of them need a third of the memory of as many `Recipient`s."""

    email: str
    fields: str
    opens: int
    links: int


def delivery_row(recipient: Recipient) -> DeliveryRow:
    """Of an accepted recipient: its tracking policy is the effective one."""
    fields = json.dumps(recipient.fields) if recipient.fields else "{}"
    return DeliveryRow(recipient.email, fields, int(recipient.tracking.opens), int(recipient.tracking.links))


async def insert_batch(
    connection: "Connection", batch: Batch, rows: Sequence[DeliveryRow], *, new_template: bool, rejected_count: int
) -> datetime:
    """Returns the time at which it is due, by PostgreSQL's clock. `new_template`: the batch's HTML becomes a transient
    template with its template id. Raises NotFound when another call has just deleted the template."""
    try:
        if len(rows) <= ONE_STATEMENT:
            return await _insert(connection, batch, rows, new_template, len(rows), rejected_count)
        async with connection.transaction():
            due_at = await _insert(connection, batch, (), new_template, len(rows), rejected_count)
            await connection.copy_records_to_table(
                "sending_pool_emails", columns=_COLUMNS, records=_records(batch, due_at, rows)
            )
        return due_at
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f'template_id: no template "{batch.template_id}"') from None


async def _insert(
    connection: "Connection",
    batch: Batch,
    rows: Sequence[DeliveryRow],
    new_template: bool,
    accepted_count: int,
    rejected_count: int,
) -> datetime:
    content = batch.content
    due_at: datetime = await queries.insert_batch(
        connection,
        message_id=batch.message_id,
        domain=batch.domain,
        template_id=batch.template_id,
        html=content.html if new_template else None,
        sender_email=content.sender_email,
        sender_alias=content.sender_alias,
        subject=content.subject,
        header_to=list(content.header_to),
        header_cc=list(content.header_cc),
        global_fields=json.dumps(dict(content.global_fields)),
        unsubscribe_url=content.unsubscribe_url or "",
        filenames=[a.filename for a in content.attachments],
        content_types=[a.content_type for a in content.attachments],
        content_ids=[a.content_id for a in content.attachments],
        contents=[a.content for a in content.attachments],
        emails=[row.email for row in rows],
        fields=[row.fields for row in rows],
        opens=[row.opens for row in rows],
        links=[row.links for row in rows],
        scheduled_at=batch.scheduled_at,
        accepted_count=accepted_count,
        rejected_count=rejected_count,
    )
    return due_at


async def _records(batch: Batch, due_at: datetime, rows: Sequence[DeliveryRow]) -> AsyncIterator[tuple[object, ...]]:
    for position, row in enumerate(rows):
        if position % _ROWS_PER_YIELD == 0:
            await asyncio.sleep(0)
        yield batch.message_id, batch.domain, *row, due_at, due_at


async def find_batch(db: Database, message_id: str) -> Batch | None:
    """With its template's HTML and its attachments; None where there is no such batch."""
    async with db.acquire() as connection:
        row = await queries.find_batch(connection, message_id=message_id)
        if row is None:
            return None
        attachments = [
            Attachment(a["filename"], a["content"], a["content_type"], a["content_id"])
            async for a in queries.list_attachments(connection, message_id=message_id)
        ]
    content = Content(
        sender_email=row["sender_email"],
        sender_alias=row["sender_alias"],
        subject=row["subject"],
        html=row["html"],
        header_to=tuple(row["header_to"]),
        header_cc=tuple(row["header_cc"]),
        global_fields=json.loads(row["global_fields"]),
        unsubscribe_url=row["unsubscribe_url"] or None,
        attachments=tuple(attachments),
    )
    return Batch(
        message_id=row["message_id"],
        domain=row["domain"],
        template_id=row["template_id"],
        scheduled_at=row["scheduled_at"],
        content=content,
    )
