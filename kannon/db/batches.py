"""A batch comes in: template, batch, attachments and deliveries, all or nothing.

In: a `NewBatch` and its deliveries. A small batch is one statement; of a large one the deliveries follow by COPY in the
same transaction. Yields to the event loop every few hundred rows, so that a large batch does not stall its neighbours.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from json import dumps
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from kannon.db.queries import queries
from kannon.errors import NotFound
from kannon.mail.batch import Attachment

if TYPE_CHECKING:
    from kannon.db.pool import Connection

ONE_STATEMENT = 200
"""Deliveries up to which one statement is cheaper than a transaction with COPY."""
_ROWS_PER_TURN = 250  # about 1 ms of encoding
_COLUMNS = ("message_id", "domain", "email", "fields", "opens", "links", "due_at", "next_attempt_at")


class NewDelivery(NamedTuple):
    """A row to be; `fields` is JSON."""

    email: str
    fields: str
    opens: int
    links: int


@dataclass(frozen=True, slots=True)
class NewBatch:
    """`html` is set where the template is new (transient) and comes with the batch. `scheduled_at` None or past
    is now."""

    message_id: str
    domain: str
    template_id: str
    html: str | None
    sender_email: str
    sender_alias: str
    subject: str
    header_to: Sequence[str]
    header_cc: Sequence[str]
    global_fields: Mapping[str, str]
    unsubscribe_url: str
    attachments: Sequence[Attachment]
    scheduled_at: datetime | None
    rejected_count: int


async def insert_batch(connection: "Connection", batch: NewBatch, deliveries: Sequence[NewDelivery]) -> datetime:
    """Returns when it is due, by PostgreSQL's clock. Raises NotFound when the template was deleted a moment ago."""
    try:
        if len(deliveries) <= ONE_STATEMENT:
            return await _insert(connection, batch, deliveries, len(deliveries))
        async with connection.transaction():
            due_at = await _insert(connection, batch, (), len(deliveries))
            await connection.copy_records_to_table(
                "sending_pool_emails", columns=_COLUMNS, records=_rows(batch, due_at, deliveries)
            )
        return due_at
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f'template_id: no template "{batch.template_id}"') from None


async def _insert(
    connection: "Connection", batch: NewBatch, deliveries: Sequence[NewDelivery], accepted_count: int
) -> datetime:
    due_at: datetime = await queries.insert_batch(
        connection,
        message_id=batch.message_id,
        domain=batch.domain,
        template_id=batch.template_id,
        html=batch.html,
        sender_email=batch.sender_email,
        sender_alias=batch.sender_alias,
        subject=batch.subject,
        header_to=list(batch.header_to),
        header_cc=list(batch.header_cc),
        global_fields=dumps(dict(batch.global_fields)),
        unsubscribe_url=batch.unsubscribe_url,
        filenames=[a.filename for a in batch.attachments],
        content_types=[a.content_type for a in batch.attachments],
        content_ids=[a.content_id for a in batch.attachments],
        contents=[a.content for a in batch.attachments],
        emails=[d.email for d in deliveries],
        fields=[d.fields for d in deliveries],
        opens=[d.opens for d in deliveries],
        links=[d.links for d in deliveries],
        scheduled_at=batch.scheduled_at,
        accepted_count=accepted_count,
        rejected_count=batch.rejected_count,
    )
    return due_at


async def _rows(
    batch: NewBatch, due_at: datetime, deliveries: Sequence[NewDelivery]
) -> AsyncIterator[tuple[object, ...]]:
    for position, delivery in enumerate(deliveries):
        if position % _ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
        yield batch.message_id, batch.domain, *delivery, due_at, due_at
