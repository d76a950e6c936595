"""Batches: stored when a send is accepted, loaded when its mails are built.

In: a `Batch` and its delivery rows. Template, batch, attachments and deliveries are stored all together or not at all:
one statement stores a group of small batches; the deliveries of a large batch follow by COPY in the same transaction.
COPY yields to the event loop every few hundred rows, so that a large batch does not delay other calls.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.errors import NotFound
from kannon.mail.batch import Attachment, Batch, Content, Engine, Recipient
from kannon.mail.send_request import RejectedRecipient

if TYPE_CHECKING:
    from kannon.db.pool import Connection

ONE_STATEMENT = 200
"""Deliveries up to which one statement is cheaper than a transaction with COPY."""
MAX_LOADED_BYTES = 16 << 20
"""Of HTML and texts, in one statement: hundreds of batches with large templates may be due together."""
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


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A checked send. `new_template`: the batch's HTML becomes a transient template with its template id."""

    batch: Batch
    rows: Sequence[DeliveryRow]
    rejected: Sequence[RejectedRecipient]
    new_template: bool


async def insert_batch(connection: "Connection", new: NewBatch) -> datetime:
    """As `insert_batches`, also for one with many deliveries."""
    if len(new.rows) <= ONE_STATEMENT:
        [due_at] = await insert_batches(connection, [new])
        return due_at
    async with connection.transaction():
        [due_at] = await _insert(connection, [new], [])
        await connection.copy_records_to_table(
            "sending_pool_emails", columns=_COLUMNS, records=_records(new.batch, due_at, new.rows)
        )
    return due_at


async def insert_batches(connection: "Connection", batches: Sequence[NewBatch]) -> list[datetime]:
    """Returns the times at which they are due, by PostgreSQL's clock. Raises NotFound when another call has just
    deleted one of their templates; then none is stored."""
    return await _insert(connection, batches, [(n, row) for n, new in enumerate(batches, 1) for row in new.rows])


async def _insert(
    connection: "Connection", batches: Sequence[NewBatch], rows: Sequence[tuple[int, DeliveryRow]]
) -> list[datetime]:
    """`rows`: with the positions of their batches, from 1."""
    contents = [new.batch.content for new in batches]
    attachments = [
        (n, position, attachment)
        for n, content in enumerate(contents, 1)
        for position, attachment in enumerate(content.attachments, 1)
    ]
    stored = queries.insert_batches(
        connection,
        message_ids=[new.batch.message_id for new in batches],
        domains=[new.batch.domain for new in batches],
        template_ids=[new.batch.template_id or None for new in batches],
        template_versions=[new.batch.template_version for new in batches],
        htmls=[new.batch.content.html if new.new_template else None for new in batches],
        engines=[content.engine for content in contents],
        texts=[content.text for content in contents],
        raws=[content.raw for content in contents],
        sender_emails=[content.sender_email for content in contents],
        sender_aliases=[content.sender_alias for content in contents],
        subjects=[content.subject for content in contents],
        headers_to=[json.dumps(content.header_to) for content in contents],
        headers_cc=[json.dumps(content.header_cc) for content in contents],
        headers_reply_to=[json.dumps(content.reply_to) for content in contents],
        header_fields=[json.dumps(content.header_fields) for content in contents],
        global_fields=[json.dumps(dict(content.global_fields)) for content in contents],
        unsubscribe_urls=[content.unsubscribe_url or "" for content in contents],
        own_unsubscribes=[content.unsubscribe_url == "" for content in contents],
        require_tls=[content.require_tls for content in contents],
        tags=[new.batch.tag for new in batches],
        metadata=[json.dumps(dict(new.batch.metadata)) for new in batches],
        scheduled_at=[new.batch.scheduled_at for new in batches],
        accepted_counts=[len(new.rows) for new in batches],
        rejected_counts=[len(new.rejected) for new in batches],
        attachment_owners=[n for n, _, _ in attachments],
        positions=[position for _, position, _ in attachments],
        filenames=[a.filename for _, _, a in attachments],
        content_types=[a.content_type for _, _, a in attachments],
        content_ids=[a.content_id for _, _, a in attachments],
        contents=[a.content for _, _, a in attachments],
        owners=[n for n, _ in rows],
        emails=[row.email for _, row in rows],
        fields=[row.fields for _, row in rows],
        opens=[row.opens for _, row in rows],
        links=[row.links for _, row in rows],
    )
    try:
        due_at = {row["message_id"]: row["scheduled_at"] async for row in stored}
    except asyncpg.ForeignKeyViolationError:
        raise NotFound(f'template_id: no template "{batches[0].batch.template_id}"') from None
    return [due_at[new.batch.message_id] for new in batches]


async def _records(batch: Batch, due_at: datetime, rows: Sequence[DeliveryRow]) -> AsyncIterator[tuple[object, ...]]:
    for position, row in enumerate(rows):
        if position % _ROWS_PER_YIELD == 0:
            await asyncio.sleep(0)
        yield batch.message_id, batch.domain, *row, due_at, due_at


class StoredBatch(NamedTuple):
    """`batch` is without its attachments, which have `attachment_bytes` together; None: it has none. A raw message is
    without its bytes too, which count as an attachment."""

    batch: Batch
    attachment_bytes: int | None


class BatchSize(NamedTuple):
    """Of a batch that was found and not loaded."""

    text_bytes: int
    attachment_bytes: int | None


class FoundBatches(NamedTuple):
    """By message id."""

    loaded: dict[str, StoredBatch]
    others: dict[str, BatchSize]


async def find_batches(
    db: Database, message_ids: Collection[str], *, most_bytes: int = MAX_LOADED_BYTES
) -> FoundBatches:
    """Loads one or more, up to `most_bytes` of texts. Those that are gone, or whose template is, are absent."""
    html: dict[tuple[str, int], str] = {}  # by template and version: the statement returns each text once
    found = FoundBatches({}, {})
    async with db.acquire() as connection:
        async for row in queries.find_batches(connection, message_ids=list(message_ids), most_bytes=most_bytes):
            if row["html"] is not None:
                html[row["template_id"], row["template_version"]] = row["html"]
            if not row["loaded"]:
                found.others[row["message_id"]] = BatchSize(row["text_bytes"], row["attachment_bytes"])
            else:
                batch = _batch(row, html.get((row["template_id"], row["template_version"]), ""))
                found.loaded[row["message_id"]] = StoredBatch(batch, row["attachment_bytes"])
    return found


async def find_attachments(db: Database, message_ids: Collection[str]) -> dict[str, tuple[Attachment, ...]]:
    """By message id; batches without attachments are absent."""
    found: dict[str, list[Attachment]] = {}
    async with db.acquire() as connection:
        async for row in queries.list_attachments(connection, message_ids=list(message_ids)):
            attachment = Attachment(row["filename"], row["content"], row["content_type"], row["content_id"])
            found.setdefault(row["message_id"], []).append(attachment)
    return {message_id: tuple(attachments) for message_id, attachments in found.items()}


async def find_raw_messages(db: Database, message_ids: Collection[str]) -> dict[str, bytes]:
    """By message id; batches of templates are absent."""
    async with db.acquire() as connection:
        rows = queries.list_raw_messages(connection, message_ids=list(message_ids))
        return {row["message_id"]: row["raw"] async for row in rows}


class Rescheduled(NamedTuple):
    """`moved` deliveries are due at `scheduled_at`; `left` ones stay as they were."""

    scheduled_at: datetime
    moved: int
    left: int
    cancelled: bool


@repeat_on_conflict
async def reschedule_batch(db: Database, domain: str, message_id: str, scheduled_at: datetime) -> Rescheduled | None:
    """Moves the deliveries that no sender has had. None where the domain has no such batch."""
    async with db.acquire() as connection:
        row = await queries.reschedule_batch(
            connection, domain=domain, message_id=message_id, scheduled_at=scheduled_at
        )
    if row is None:
        return None
    return Rescheduled(row["scheduled_at"], row["moved"], row["waiting"] - row["moved"], row["cancelled"])


def _batch(row: Any, html: str) -> Batch:
    content = Content(
        sender_email=row["sender_email"],
        sender_alias=row["sender_alias"],
        subject=row["subject"],
        html=html,
        text=row["text"],
        engine=Engine(row["engine"] or Engine.PLAIN),
        header_to=tuple(row["header_to"]),
        header_cc=tuple(row["header_cc"]),
        reply_to=tuple(row["header_reply_to"]),
        header_fields=tuple((name, value) for name, value in json.loads(row["header_fields"])),
        global_fields=json.loads(row["global_fields"]),
        unsubscribe_url=row["unsubscribe_url"] or ("" if row["own_unsubscribe"] else None),
        raw=None if row["raw_bytes"] is None else b"",
        require_tls=row["require_tls"],
    )
    return Batch(
        message_id=row["message_id"],
        domain=row["domain"],
        template_id=row["template_id"] or "",
        template_version=row["template_version"],
        scheduled_at=row["scheduled_at"],
        content=content,
    )
