"""API keys: created, changed, listed, deactivated, and the look-up that authenticates a tenant.

In: the SHA-256 of a secret, never the secret. Out: ApiKey and KeyGrant of kannon.mail.tenants, and Tenant.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.quota import Quota
from kannon.mail.send_request import Tenant
from kannon.mail.tenants import ApiKey, KeyGrant, Limits, Network, Scope
from kannon.mail.tracking import TrackingMode, TrackingPolicy

ANY_DOMAIN = ""
"""Where only the key is known: it belongs to one domain."""


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What a key may do. None, in a change: as it is."""

    scopes: Sequence[Scope] | None = None
    networks: Sequence[Network] | None = None
    per_second: int | None = None
    per_day: int | None = None


SENDS = KeyRights((Scope.SEND,), (), 0, 0)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """`peer` is an address."""

    key_id: str
    at: datetime
    peer: str


@repeat_on_conflict
async def insert_api_key(
    db: Database,
    key_id: str,
    domain: str,
    *,
    name: str,
    prefix: str,
    secret_sha256: bytes,
    expires_at: datetime | None,
    rights: KeyRights = SENDS,
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
            **_columns(rights),
        )
    return _api_key(row)


async def find_tenant(db: Database, domain: str, secret_sha256: bytes) -> KeyGrant | None:
    """What this secret opens, of the domain or of ANY_DOMAIN; None where the key is unknown, expired or deactivated.
    The comparison takes constant time; the time of the index look-up depends on a hash and reveals nothing of the
    secret."""
    async with db.acquire() as connection:
        row = await queries.find_tenant(connection, domain=domain, secret_sha256=secret_sha256)
    stored = b"" if row is None else row["secret_sha256"]
    if not hmac.compare_digest(stored, secret_sha256):
        return None
    key = Quota(row["key_id"], row["key_per_second"], row["key_per_day"])
    return KeyGrant(row["key_id"], _tenant(row, key), frozenset(map(Scope, row["scopes"])), tuple(row["networks"]))


async def find_tenant_of_domain(db: Database, domain: str) -> Tenant | None:
    """Without a key, for the administrator. None when there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.find_tenant_of_domain(connection, domain=domain)
    return None if row is None else _tenant(row)


async def find_api_key(db: Database, domain: str, key_id: str) -> ApiKey | None:
    async with db.acquire() as connection:
        return _api_key(await queries.find_api_key(connection, domain=domain, id=key_id))


@repeat_on_conflict
async def update_api_key(
    db: Database, domain: str, key_id: str, *, name: str | None, rights: KeyRights
) -> ApiKey | None:
    """`name` None stays."""
    async with db.acquire() as connection:
        return _api_key(
            await queries.update_api_key(connection, domain=domain, id=key_id, name=name, **_columns(rights))
        )


@repeat_on_conflict
async def note_uses(db: Database, uses: Sequence[KeyUse]) -> None:
    async with db.acquire() as connection:
        await queries.note_uses(
            connection,
            ids=[use.key_id for use in uses],
            ats=[use.at for use in uses],
            peers=[use.peer for use in uses],
        )


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


def _tenant(row: Any, *of_key: Quota) -> Tenant:
    ceiling = TrackingPolicy(TrackingMode(row["opens_ceiling"]), TrackingMode(row["links_ceiling"]))
    quotas = (*of_key, Quota(row["domain"], row["per_second"], row["per_day"]))
    limited = tuple(quota for quota in quotas if quota.per_second or quota.per_day)
    return Tenant(row["domain"], ceiling, suppresses=row["suppresses"], quotas=limited)


def _columns(rights: KeyRights) -> dict[str, Any]:
    """NULL for what is not given."""
    return {
        "scopes": None if rights.scopes is None else [scope.value for scope in rights.scopes],
        "networks": rights.networks,
        "per_second": rights.per_second,
        "per_day": rights.per_day,
    }


def _api_key(row: Any) -> ApiKey | None:
    return None if row is None else _read(row)


def _read(row: Any) -> ApiKey:
    values = dict(row)
    values["scopes"] = tuple(Scope(scope) for scope in values["scopes"])
    values["networks"] = tuple(values["networks"])
    values["limits"] = Limits(values.pop("per_second"), values.pop("per_day"))
    return ApiKey(**values)
