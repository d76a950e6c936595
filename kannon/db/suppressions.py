"""Suppressions: the recipients that a send leaves out, and the list as an operator sees and changes it.

In: addresses as written; kannon.mail.suppression.address_key compares them. kannon.db.stats_write writes the entries
of bounces and complaints, with their events.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.suppression import FIRST_BOUNCE_KEPT, Cause, Suppression, address_key

if TYPE_CHECKING:
    from kannon.db.pool import Connection


async def find_suppressed(connection: "Connection", wanted: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """`wanted`: the keys (compared forms) of each domain. Out: those that are suppressed now, none where the domain has
    switched suppression off. One query, however many."""
    found: dict[str, set[str]] = {domain: set() for domain in wanted}
    rows = queries.find_suppressed(
        connection,
        domains=[domain for domain, keys in wanted.items() for _ in keys],
        addresses=[key for keys in wanted.values() for key in keys],
    )
    async for row in rows:
        found[row["domain"]].add(row["address"])
    return {domain: frozenset(keys) for domain, keys in found.items()}


async def find_suppression(db: Database, domain: str, email: str) -> Suppression | None:
    async with db.acquire() as connection:
        row = await queries.find_suppression(connection, domain=domain, address=address_key(email))
    return None if row is None else _suppression(row)


async def list_suppressions(
    db: Database, domain: str, *, cause: Cause | None, after: str, take: int
) -> tuple[list[Suppression], int]:
    """A page in the order of the addresses, behind the address `after`, and the total."""
    async with db.acquire() as connection:
        total: int = await queries.count_suppressions(connection, domain=domain, cause=cause or "")
        rows = queries.list_suppressions(
            connection, domain=domain, cause=cause or "", after=address_key(after), take=take
        )
        return [_suppression(row) async for row in rows], total


@repeat_on_conflict
async def insert_suppressions(db: Database, domain: str, entries: Sequence[Suppression]) -> int:
    """The number of new or changed entries. An existing entry stays unless the new one lasts longer or is a complaint
    after a bounce."""
    async with db.acquire() as connection:
        rows = queries.insert_suppressions(
            connection,
            domain=domain,
            addresses=[address_key(e.email) for e in entries],
            emails=[e.email for e in entries],
            causes=[e.cause.value for e in entries],
            sinces=[e.since for e in entries],
            expiries=[e.expires_at for e in entries],
            notes=[e.note for e in entries],
        )
        return len([row async for row in rows])


@repeat_on_conflict
async def delete_suppressions(db: Database, domain: str, emails: Collection[str]) -> list[str]:
    """The removed addresses, as they were written."""
    async with db.acquire() as connection:
        rows = queries.delete_suppressions(connection, domain=domain, addresses=[address_key(e) for e in emails])
        return [row["email"] async for row in rows]


@repeat_on_conflict
async def delete_expired_suppressions(db: Database) -> int:
    async with db.acquire() as connection:
        status: str = await queries.delete_expired_suppressions(connection)
        return int(status.rsplit(" ", 1)[1])


@repeat_on_conflict
async def delete_forgotten_bounces(db: Database, now: datetime) -> int:
    """First bounces of missing domains that no second one has confirmed in time."""
    async with db.acquire() as connection:
        status: str = await queries.delete_forgotten_bounces(connection, before=now - FIRST_BOUNCE_KEPT)
        return int(status.rsplit(" ", 1)[1])


async def find_suppression_enabled(db: Database, domain: str) -> bool | None:
    """None where there is no such domain."""
    async with db.acquire() as connection:
        enabled: bool | None = await queries.find_suppression_enabled(connection, domain=domain)
        return enabled


@repeat_on_conflict
async def update_suppression_enabled(db: Database, domain: str, *, enabled: bool) -> bool:
    """False where there is no such domain. The entries stay."""
    async with db.acquire() as connection:
        updated = await queries.update_suppression_enabled(connection, domain=domain, enabled=enabled)
    return updated is not None


def _suppression(row: Any) -> Suppression:
    values = dict(row)
    values["cause"] = Cause(values["cause"])
    return Suppression(**values)
