"""API keys: created, listed, deactivated, and the look-up that authenticates a tenant.

In: the SHA-256 of a secret, never the secret. Out: kannon.mail.tenants.ApiKey and kannon.mail.send_request.Tenant.
"""

import hmac
from datetime import datetime
from typing import Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.send_request import Tenant
from kannon.mail.tenants import ApiKey
from kannon.mail.tracking import TrackingMode, TrackingPolicy


@repeat_on_conflict
async def insert_api_key(
    db: Database, key_id: str, domain: str, *, name: str, prefix: str, secret_sha256: bytes, expires_at: datetime | None
) -> ApiKey | None:
    """None where there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.insert_api_key(
            connection,
            id=key_id,
            domain=domain,
            name=name,
            prefix=prefix,
            secret_sha256=secret_sha256,
            expires_at=expires_at,
        )
    return _api_key(row)


async def find_tenant(db: Database, domain: str, secret_sha256: bytes) -> Tenant | None:
    """The tenant of this secret; None where the key is unknown, expired or deactivated. The comparison takes constant
    time; the time of the index look-up depends on a hash and reveals nothing of the secret."""
    async with db.acquire() as connection:
        row = await queries.find_tenant(connection, domain=domain, secret_sha256=secret_sha256)
    stored = b"" if row is None else row["secret_sha256"]
    if not hmac.compare_digest(stored, secret_sha256):
        return None
    return _tenant(row)


async def find_tenant_of_domain(db: Database, domain: str) -> Tenant | None:
    """Without a key, for the administrator. None when there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.find_tenant_of_domain(connection, domain=domain)
    return None if row is None else _tenant(row)


async def find_api_key(db: Database, domain: str, key_id: str) -> ApiKey | None:
    async with db.acquire() as connection:
        return _api_key(await queries.find_api_key(connection, domain=domain, id=key_id))


@repeat_on_conflict
async def deactivate_api_key(db: Database, domain: str, key_id: str) -> ApiKey | None:
    """Permanent; a second call changes nothing."""
    async with db.acquire() as connection:
        return _api_key(await queries.deactivate_api_key(connection, domain=domain, id=key_id))


async def list_api_keys(
    db: Database, domain: str, *, only_active: bool, skip: int, take: int
) -> tuple[list[ApiKey], int]:
    """A page, newest first, and the total."""
    async with db.acquire() as connection:
        total: int = await queries.count_api_keys(connection, domain=domain, only_active=only_active)
        rows = queries.list_api_keys(connection, domain=domain, only_active=only_active, skip=skip, take=take)
        return [_read(row) async for row in rows], total


def _tenant(row: Any) -> Tenant:
    ceiling = TrackingPolicy(TrackingMode(row["opens_ceiling"]), TrackingMode(row["links_ceiling"]))
    return Tenant(row["domain"], ceiling, suppresses=row["suppresses"])


def _api_key(row: Any) -> ApiKey | None:
    return None if row is None else _read(row)


def _read(row: Any) -> ApiKey:
    return ApiKey(**row)
