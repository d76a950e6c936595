"""Certificates that Kannon orders, the ACME accounts, and the answers to challenges; private keys are encrypted.

In and out: values of this module. One node orders at a time (`ordering`), all serve what is stored.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.secrets import place_of_account, place_of_certificate
from kannon.mail.master_key import SecretDamaged

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """PEM."""

    name: str
    chain: str
    private_key: str
    begin: datetime
    end: datetime
    issued_at: datetime

    @property
    def renew_at(self) -> datetime:
        """Two thirds of its life."""
        return self.begin + (self.end - self.begin) * 2 / 3


@dataclass(frozen=True, slots=True)
class OrderState:
    """`certificate` None: none was issued yet. No order before `retry_at`."""

    certificate: StoredCertificate | None
    failures: int
    retry_at: datetime


async def list_certificates(db: Database, since: datetime) -> list[StoredCertificate]:
    """Issued at that time or later, the oldest first. One that cannot be decrypted is left out."""
    async with db.acquire() as connection:
        rows = [row async for row in queries.list_issued_certificates(connection, since=since)]
    return [found for row in rows if (found := _read(db, row)) is not None]


async def find_order_state(db: Database, name: str) -> OrderState | None:
    async with db.acquire() as connection:
        row = await queries.find_certificate(connection, name=name)
    if row is None:
        return None
    return OrderState(_read(db, row) if row["chain"] else None, row["failures"], row["retry_at"])


@repeat_on_conflict
async def store_certificate(
    db: Database, name: str, *, chain: str, private_key: str, begin: datetime, end: datetime
) -> None:
    encrypted = db.cipher.encrypt(private_key, place_of_certificate(name))
    async with db.acquire() as connection:
        await queries.upsert_certificate(
            connection, name=name, chain=chain, private_key=encrypted, not_before=begin, not_after=end
        )


@repeat_on_conflict
async def store_failure(db: Database, name: str, problem: str, retry_at: datetime) -> None:
    """The certificate that is there stays in use."""
    async with db.acquire() as connection:
        await queries.insert_certificate_failure(connection, name=name, problem=problem, retry_at=retry_at)


@repeat_on_conflict
async def account_key(db: Database, directory: str, fresh: str) -> str:
    """Of the account at that server; `fresh` where there is none."""
    place = place_of_account(directory)
    async with db.transaction() as connection:
        encrypted = db.cipher.encrypt(fresh, place)
        await queries.insert_acme_account(connection, directory=directory, private_key=encrypted)
        stored: str = await queries.find_acme_account(connection, directory=directory)
    return db.cipher.decrypt(stored, place)


@repeat_on_conflict
async def store_challenge(db: Database, token: str, answer: str) -> None:
    async with db.transaction() as connection:
        await queries.delete_old_acme_challenges(connection)
        await queries.insert_acme_challenge(connection, token=token, answer=answer)


async def list_challenges(db: Database) -> dict[str, str]:
    """Answers of the last hour, by token."""
    async with db.acquire() as connection:
        return {row["token"]: row["answer"] async for row in queries.list_acme_challenges(connection)}


@asynccontextmanager
async def ordering(db: Database) -> AsyncIterator[bool]:
    """False where another node orders now."""
    async with db.session() as connection:
        yield bool(await queries.try_lock_certificates(connection))


def _read(db: Database, row: Any) -> StoredCertificate | None:
    try:
        private_key = db.cipher.decrypt(row["private_key"], place_of_certificate(row["name"]))
    except SecretDamaged as error:
        log.error("a secret cannot be decrypted", problem=str(error))
        return None
    return StoredCertificate(
        row["name"], row["chain"], private_key, row["not_before"], row["not_after"], row["issued_at"]
    )
