"""DKIM keys of a domain: listed and changed by its operator, read by the dispatcher that signs with them.

In: canonical names, and the time where it decides. Out: kannon.mail.dns.dkim_keys.RegisteredKey, None where there is
none. The rules are in kannon.mail.dns.dkim_keys; a lock on the domain makes of two concurrent changes the second see
the first.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.secrets import place_of_dkim
from kannon.errors import AlreadyExists
from kannon.mail.build.dkim import DkimKey
from kannon.mail.dns.dkim_keys import (
    KEY_CACHE_TIME,
    KeyState,
    RegisteredKey,
    check_deletable,
    check_transition,
    next_selector,
)
from kannon.mail.master_key import SecretDamaged

if TYPE_CHECKING:
    from kannon.db.pool import Connection

log = structlog.get_logger()


async def list_dkim_keys(db: Database, domain: str) -> list[RegisteredKey]:
    """All of them, deleted ones included, oldest first; empty where there is no such domain."""
    async with db.acquire() as connection:
        return await _list(connection, domain)


async def list_active_dkim_keys(db: Database, domains: Collection[str]) -> dict[str, tuple[DkimKey, ...]]:
    """The keys that sign for each of these domains, RSA first. One that cannot be decrypted is left out."""
    found: dict[str, tuple[DkimKey, ...]] = dict.fromkeys(domains, ())
    async with db.acquire() as connection:
        async for row in queries.list_active_dkim_keys(connection, domains=list(domains)):
            place = place_of_dkim(row["domain"], row["selector"])
            try:
                private_pem = db.cipher.decrypt(row["private_pem"], place)
            except SecretDamaged as error:
                log.error("a secret cannot be decrypted", problem=str(error))
                continue
            found[row["domain"]] += (DkimKey(row["selector"], row["algorithm"], private_pem),)
    return found


@repeat_on_conflict
async def insert_dkim_key(
    db: Database, domain: str, *, algorithm: str, private_pem: str, public_key: str
) -> RegisteredKey | None:
    """The next key of its algorithm, under the next selector. Raises AlreadyExists where there is one already."""
    async with _locked(db, domain) as (connection, keys):
        for key in keys:
            if key.algorithm == algorithm and key.state is KeyState.NEXT:
                raise AlreadyExists(f'algorithm: the next {algorithm} key exists already: selector "{key.selector}"')
        selector = next_selector([key.selector for key in keys])
        await queries.insert_dkim_key(
            connection,
            domain=domain,
            selector=selector,
            algorithm=algorithm,
            private_pem=db.cipher.encrypt(private_pem, place_of_dkim(domain, selector)),
            public_key=public_key,
        )
        return await _find(connection, domain, selector)


@repeat_on_conflict
async def activate_dkim_key(db: Database, domain: str, selector: str) -> RegisteredKey | None:
    """This key signs from now on; the active key of its algorithm is retired. Raises FailedPrecondition."""
    async with _locked(db, domain) as (connection, keys):
        key = _pick(keys, selector)
        if key is None or key.state is KeyState.ACTIVE:
            return key
        check_transition(key, KeyState.ACTIVE)
        await queries.retire_dkim_keys(connection, domain=domain, algorithm=key.algorithm)
        await queries.activate_dkim_key(connection, domain=domain, selector=selector)
        return await _find(connection, domain, selector)


@repeat_on_conflict
async def retire_dkim_key(db: Database, domain: str, selector: str) -> RegisteredKey | None:
    """The key does not sign any longer, and no other key replaces it. Raises FailedPrecondition."""
    async with _locked(db, domain) as (connection, keys):
        key = _pick(keys, selector)
        if key is None or key.state is KeyState.RETIRED:
            return key
        check_transition(key, KeyState.RETIRED)
        await queries.retire_dkim_keys(connection, domain=domain, algorithm=key.algorithm)
        return await _find(connection, domain, selector)


@repeat_on_conflict
async def delete_dkim_key(
    db: Database, domain: str, selector: str, *, now: datetime, window: timedelta, force: bool
) -> RegisteredKey | None:
    """Erases the private key. Raises FailedPrecondition; with `force`, not because mail may be under way."""
    async with _locked(db, domain) as (connection, keys):
        key = _pick(keys, selector)
        if key is None or key.state is KeyState.DELETED:
            return key
        check_transition(key, KeyState.DELETED)
        if not force:
            check_deletable(key, now, window)
        await queries.delete_dkim_key(connection, domain=domain, selector=selector)
        return await _find(connection, domain, selector)


@asynccontextmanager
async def _locked(db: Database, domain: str) -> "AsyncIterator[tuple[Connection, list[RegisteredKey]]]":
    """A transaction that keeps others from changing the domain's keys, and the keys."""
    async with db.transaction() as connection:
        await queries.lock_dkim_keys(connection, domain=domain)
        yield connection, await _list(connection, domain)


async def _list(connection: "Connection", domain: str) -> list[RegisteredKey]:
    return [_key(row) async for row in queries.list_dkim_keys(connection, domain=domain, switch=KEY_CACHE_TIME)]


async def _find(connection: "Connection", domain: str, selector: str) -> RegisteredKey | None:
    return _pick(await _list(connection, domain), selector)


def _pick(keys: list[RegisteredKey], selector: str) -> RegisteredKey | None:
    return next((key for key in keys if key.selector == selector), None)


def _key(row: Any) -> RegisteredKey:
    if row["active"]:
        state = KeyState.ACTIVE
    elif row["deleted_at"] is not None:
        state = KeyState.DELETED
    else:
        state = KeyState.NEXT if row["retired_at"] is None else KeyState.RETIRED
    return RegisteredKey(
        domain=row["domain"],
        selector=row["selector"],
        algorithm=row["algorithm"],
        public_key=row["public_key"],
        state=state,
        created_at=row["created_at"],
        retired_at=row["retired_at"],
        deleted_at=row["deleted_at"],
        under_way=row["under_way"],
    )
