"""What the dispatcher loads once per batch: the batch itself, its attachments, its domain's signing keys."""

import json

from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.batch import Attachment, Batch
from kannon.mail.build.dkim import DkimKey


async def find_batch(db: Database, message_id: str) -> Batch | None:
    """With template and attachments; None when there is no such batch."""
    async with db.acquire() as connection:
        row = await queries.find_batch(connection, message_id=message_id)
        if row is None:
            return None
        attachments = [
            Attachment(a["filename"], a["content"], a["content_type"], a["content_id"])
            async for a in queries.list_attachments(connection, message_id=message_id)
        ]
    return Batch(
        message_id=row["message_id"],
        domain=row["domain"],
        sender_email=row["sender_email"],
        sender_alias=row["sender_alias"],
        subject=row["subject"],
        html=row["html"],
        header_to=tuple(row["header_to"]),
        header_cc=tuple(row["header_cc"]),
        global_fields=json.loads(row["global_fields"]),
        unsubscribe_url=row["unsubscribe_url"],
        attachments=tuple(attachments),
    )


async def list_active_dkim_keys(db: Database, domain: str) -> list[DkimKey]:
    """The keys that sign for this domain, RSA first."""
    async with db.acquire() as connection:
        return [
            DkimKey(row["selector"], row["algorithm"], row["private_pem"])
            async for row in queries.list_active_dkim_keys(connection, domain=domain)
        ]
