"""The server's own keys: those of tracking tokens, HMAC secrets of bounce addresses.

The first process that needs one creates it; a lock lets one process at a time do so. Randomness is passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries


@dataclass(frozen=True, slots=True)
class StatsKey:
    """Signs tracking tokens until `sign_until`."""

    kid: str
    private_pem: str
    sign_until: datetime


@dataclass(frozen=True, slots=True)
class NewStatsKey:
    """A freshly generated pair, not stored yet."""

    kid: str
    private_pem: str
    public_pem: str


@repeat_on_conflict
async def current_stats_key(
    db: Database, *, now: datetime, sign_for: timedelta, token_ttl: timedelta, generate: Callable[[], NewStatsKey]
) -> StatsKey:
    """The key that signs now; a new one is stored when none has any signing time left.

    A key signs for `sign_for` and verifies for `token_ttl` longer, so that its last token stays valid until it expires.
    """
    async with db.transaction() as connection:
        row = await queries.find_signing_key(connection, now=now)
        if row is None:
            await queries.lock_keys(connection)
            row = await queries.find_signing_key(connection, now=now)
        if row is not None:
            return StatsKey(row["kid"], row["private_pem"], row["sign_until"])
        new = generate()
        sign_until = now + sign_for
        await queries.insert_stats_key(
            connection,
            kid=new.kid,
            private_pem=new.private_pem,
            public_pem=new.public_pem,
            sign_until=sign_until,
            verify_until=sign_until + token_ttl,
        )
        await queries.delete_expired_stats_keys(connection, now=now)
        return StatsKey(new.kid, new.private_pem, sign_until)


async def list_verification_keys(db: Database, now: datetime) -> dict[str, str]:
    """The private keys (PEM) whose tokens are valid now, by kid: one for each `sign_for` within a token's life."""
    async with db.acquire() as connection:
        return {row["kid"]: row["private_pem"] async for row in queries.list_verification_keys(connection, now=now)}


@repeat_on_conflict
async def bounce_secrets(db: Database, *, generate: Callable[[int], bytes]) -> list[bytes]:
    """Newest first: the first signs, all verify. Creates one where there is none."""
    async with db.transaction() as connection:
        found = [row["secret"] async for row in queries.list_bounce_secrets(connection)]
        if not found:
            await queries.lock_keys(connection)
            found = [row["secret"] async for row in queries.list_bounce_secrets(connection)]
        if not found:
            found = [generate(32)]
            await queries.insert_bounce_secret(connection, secret=found[0])
        return found
