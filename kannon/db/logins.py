"""Logins to the pages: links that work once, and sessions. Only digests of their secrets are stored."""

from dataclasses import dataclass
from datetime import timedelta

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries

LINK, SESSION = "link", "session"


@dataclass(frozen=True, slots=True)
class Login:
    """`authority` is the digest of the token that it rests on."""

    viewer: bool
    authority: bytes


async def insert_login(db: Database, secret_sha256: bytes, kind: str, login: Login, lifetime: timedelta) -> None:
    async with db.acquire() as connection:
        await queries.insert_login(
            connection,
            secret_sha256=secret_sha256,
            kind=kind,
            viewer=login.viewer,
            authority=login.authority,
            lifetime=lifetime,
        )


async def find_session(db: Database, secret_sha256: bytes) -> Login | None:
    """None where there is none, or it has expired."""
    async with db.acquire() as connection:
        row = await queries.find_session(connection, secret_sha256=secret_sha256)
    return None if row is None else Login(row["viewer"], row["authority"])


@repeat_on_conflict
async def take_link(db: Database, secret_sha256: bytes) -> Login | None:
    """Of several callers one gets it."""
    async with db.acquire() as connection:
        row = await queries.take_link(connection, secret_sha256=secret_sha256)
    return Login(row["viewer"], row["authority"]) if row is not None and row["valid"] else None


@repeat_on_conflict
async def delete_session(db: Database, secret_sha256: bytes) -> None:
    async with db.acquire() as connection:
        await queries.delete_session(connection, secret_sha256=secret_sha256)


@repeat_on_conflict
async def delete_expired_logins(db: Database) -> None:
    async with db.acquire() as connection:
        await queries.delete_expired_logins(connection)
