"""Suppressions: the recipients that a send leaves out, and the list as an operator sees and changes it.

In: addresses as written; kannon.mail.suppression.address_key compares them. kannon.db.stats_write writes the entries
of bounces and complaints, with their events.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.suppression import FIRST_BOUNCE_KEPT, Cause, Suppression, address_key

if TYPE_CHECKING:
    from kannon.db.pool import Connection


DomainTag = tuple[str, str]
"""A domain and the tag of a send, which may be empty."""


async def find_suppressed(
    connection: "Connection", wanted: Mapping[DomainTag, Collection[str]]
) -> dict[DomainTag, frozenset[str]]:
    """`wanted`: the keys (compared forms) of each domain and tag. Out: those that are suppressed now, none where the
    domain has switched suppression off. One query, however many."""
    found: dict[DomainTag, set[str]] = {pair: set() for pair in wanted}
    rows = queries.find_suppressed(
        connection,
        domains=[domain for (domain, _), keys in wanted.items() for _ in keys],
        tags=[tag for (_, tag), keys in wanted.items() for _ in keys],
        addresses=[key for keys in wanted.values() for key in keys],
    )
    async for row in rows:
        found[row["domain"], row["tag"]].add(row["address"])
    return {pair: frozenset(keys) for pair, keys in found.items()}


async def find_suppressions(db: Database, domain: str, email: str, tag: str | None = None) -> list[Suppression]:
    """Those of one address, the one of all mail first. `tag` None: of any tag."""
    async with db.acquire() as connection:
        rows = queries.find_suppressions(connection, domain=domain, address=address_key(email), tag=tag)
        return [_suppression(row) async for row in rows]


@dataclass(frozen=True, slots=True)
class Place:
    """Behind it a page begins: behind all entries of the address, or behind the one of this tag."""

    email: str = ""
    tag: str | None = None


async def list_suppressions(
    db: Database, domain: str, *, cause: Cause | None, after: Place, take: int, tag: str = ""
) -> tuple[list[Suppression], int]:
    """A page in the order of the addresses and tags, and the total. `tag` empty: of any tag."""
    async with db.acquire() as connection:
        total: int = await queries.count_suppressions(connection, domain=domain, cause=cause or "", tag=tag)
        rows = queries.list_suppressions(
            connection,
            domain=domain,
            cause=cause or "",
            tag=tag,
            after=address_key(after.email),
            after_tag=after.tag,
            take=take,
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
            tags=[e.tag for e in entries],
            emails=[e.email for e in entries],
            causes=[e.cause.value for e in entries],
            sinces=[e.since for e in entries],
            expiries=[e.expires_at for e in entries],
            notes=[e.note for e in entries],
        )
        return len([row async for row in rows])


@repeat_on_conflict
async def delete_suppressions(db: Database, domain: str, emails: Collection[str], tag: str | None = None) -> list[str]:
    """The removed addresses, each once, as they were written. `tag` None: all their entries; empty: the ones of all
    mail."""
    async with db.acquire() as connection:
        keys = [address_key(e) for e in emails]
        rows = queries.delete_suppressions(connection, domain=domain, addresses=keys, tag=tag)
        return list({row["address"]: row["email"] async for row in rows}.values())


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
