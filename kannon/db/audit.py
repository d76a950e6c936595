"""The audit log: which change, by whom.

Order of effects: the entry is committed before the change is made, and marked as done after it. A refused change takes
its entry back. A crash in between leaves an entry that is not done.
"""

from datetime import datetime

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.audit import AuditEntry, Change

_LAST = 2**63 - 1


async def insert_entry(db: Database, change: Change) -> int:
    """Its id."""
    async with db.acquire() as connection:
        entry_id: int = await queries.insert_audit_entry(
            connection,
            way=change.way,
            actor=change.actor,
            attribution=change.attribution,
            peer=change.peer,
            action=change.action,
            domain=change.domain,
            subject=change.subject,
        )
    return entry_id


@repeat_on_conflict
async def finish_entry(db: Database, entry_id: int, *, domain: str, subject: str) -> None:
    async with db.acquire() as connection:
        await queries.finish_audit_entry(connection, id=entry_id, domain=domain, subject=subject)


@repeat_on_conflict
async def delete_entry(db: Database, entry_id: int) -> None:
    async with db.acquire() as connection:
        await queries.delete_audit_entry(connection, id=entry_id)


async def list_entries(
    db: Database, *, before: int = 0, take: int, domain: str = "", action: str = ""
) -> list[AuditEntry]:
    """The newest first, of those before an id; 0: from the newest on. An empty text restricts nothing."""
    async with db.acquire() as connection:
        rows = queries.list_audit_entries(connection, before=before or _LAST, take=take, domain=domain, action=action)
        entries = []
        async for row in rows:
            values = dict(row)
            entry_id, at, done = (values.pop(name) for name in ("id", "at", "done"))
            entries.append(AuditEntry(entry_id, at, Change(**values), done))
        return entries


@repeat_on_conflict
async def delete_old_entries(db: Database, before: datetime) -> None:
    async with db.acquire() as connection:
        await queries.delete_old_audit_entries(connection, before=before)
