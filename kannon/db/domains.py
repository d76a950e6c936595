"""Domains: created with their first DKIM key, found, listed, and the tracking that they allow.

In: canonical names (kannon.mail.address.canonical_domain). Out: kannon.mail.tenants.Domain, None where there is none.
"""

from typing import Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.secrets import place_of_dkim
from kannon.mail.tenants import Domain, Limits
from kannon.mail.tracking import TrackingMode, TrackingPolicy


@repeat_on_conflict
async def insert_domain(db: Database, name: str, *, selector: str, private_pem: str, public_key: str) -> bool:
    """With its DKIM key. False where the domain exists already; it is not changed then."""
    encrypted = db.cipher.encrypt(private_pem, place_of_dkim(name, selector))
    async with db.acquire() as connection:
        created = await queries.insert_domain(
            connection, domain=name, selector=selector, private_pem=encrypted, public_key=public_key
        )
    return created is not None


async def find_domain(db: Database, name: str) -> Domain | None:
    async with db.acquire() as connection:
        row = await queries.find_domain(connection, domain=name)
    return None if row is None else _domain(row)


async def list_domains(db: Database) -> list[Domain]:
    """By name."""
    async with db.acquire() as connection:
        return [_domain(row) async for row in queries.list_domains(connection)]


@repeat_on_conflict
async def update_tracking(db: Database, name: str, tracking: TrackingPolicy) -> bool:
    """Replaces both axes; False where there is no such domain. Batches accepted earlier keep their tracking."""
    async with db.acquire() as connection:
        updated = await queries.update_tracking(
            connection, domain=name, opens=int(tracking.opens), links=int(tracking.links)
        )
    return updated is not None


async def find_limits(db: Database, name: str) -> Limits | None:
    """Of all its mails together. None where there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.find_domain_limits(connection, domain=name)
    return None if row is None else Limits(**row)


@repeat_on_conflict
async def update_limits(db: Database, name: str, limits: Limits) -> Limits | None:
    """None where there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.update_domain_limits(
            connection, domain=name, per_second=limits.per_second, per_day=limits.per_day
        )
    return None if row is None else Limits(**row)


def _domain(row: Any) -> Domain:
    return Domain(
        name=row["domain"],
        dkim_selector=row["selector"] or "",
        dkim_public_key=row["public_key"] or "",
        tracking=TrackingPolicy(TrackingMode(row["opens_ceiling"]), TrackingMode(row["links_ceiling"])),
    )
