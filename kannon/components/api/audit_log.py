"""The audit log of this process: kannon.components.api.changes.AuditLog, in PostgreSQL."""

from kannon.db import audit
from kannon.db.pool import Database
from kannon.mail.audit import Change


class StoredAuditLog:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def begin(self, change: Change) -> int:
        return await audit.insert_entry(self._db, change)

    async def finish(self, entry_id: int, domain: str, subject: str) -> None:
        await audit.finish_entry(self._db, entry_id, domain=domain, subject=subject)

    async def take_back(self, entry_id: int) -> None:
        await audit.delete_entry(self._db, entry_id)
