"""The server's own keys: those of tracking tokens, HMAC secrets of bounce addresses; stored encrypted.

The first process that needs one creates it; a lock lets one process at a time do so. Randomness is passed in. A key
that cannot be decrypted is passed over, as if it had expired.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from kannon.db.cipher import Cipher
from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.secrets import place_of_bounce_key, place_of_token_key
from kannon.mail.master_key import SecretDamaged

if TYPE_CHECKING:
    from kannon.db.pool import Connection

log = structlog.get_logger()


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
        found = await _find_signing_key(db, connection, now)
        if found is None:
            await queries.lock_keys(connection)
            found = await _find_signing_key(db, connection, now)
        if found is not None:
            return found
        new = generate()
        sign_until = now + sign_for
        await queries.insert_stats_key(
            connection,
            kid=new.kid,
            private_pem=db.cipher.encrypt(new.private_pem, place_of_token_key(new.kid)),
            public_pem=new.public_pem,
            sign_until=sign_until,
            verify_until=sign_until + token_ttl,
        )
        await queries.delete_expired_stats_keys(connection, now=now)
        return StatsKey(new.kid, new.private_pem, sign_until)


async def _find_signing_key(db: Database, connection: "Connection", now: datetime) -> StatsKey | None:
    """The newest one that can be decrypted."""
    async for row in queries.list_signing_keys(connection, now=now):
        if (private_pem := _decrypt_token_key(db, row)) is not None:
            return StatsKey(row["kid"], private_pem, row["sign_until"])
    return None


def _decrypt_token_key(db: Database, row: Any) -> str | None:
    """None where it is damaged. Raises Unavailable where this node lacks the master key."""
    try:
        return db.cipher.decrypt(row["private_pem"], place_of_token_key(row["kid"]))
    except SecretDamaged as error:
        log.error("a secret cannot be decrypted", problem=str(error))
        return None


async def list_verification_keys(db: Database, now: datetime) -> dict[str, str]:
    """The private keys (PEM) whose tokens are valid now, by kid: one for each `sign_for` within a token's life."""
    async with db.acquire() as connection:
        rows = [row async for row in queries.list_verification_keys(connection, now=now)]
    found = {row["kid"]: _decrypt_token_key(db, row) for row in rows}
    return {kid: private_pem for kid, private_pem in found.items() if private_pem is not None}


@repeat_on_conflict
async def bounce_secrets(db: Database, *, generate: Callable[[int], bytes]) -> list[bytes]:
    """Newest first: the first signs, all verify. Creates one where there is none."""
    async with db.transaction() as connection:
        found = await _list_bounce_secrets(db, connection)
        if not found:
            await queries.lock_keys(connection)
            found = await _list_bounce_secrets(db, connection)
        if not found:
            found = [generate(32)]
            await insert_bounce_secret(db.cipher, connection, found[0])
        return found


async def insert_bounce_secret(cipher: Cipher, connection: "Connection | Any", secret: bytes) -> None:
    id_ = await queries.next_bounce_key_id(connection)
    encrypted = cipher.encrypt(b64encode(secret).decode(), place_of_bounce_key(id_))
    await queries.insert_bounce_secret(connection, id=id_, secret=encrypted)


async def _list_bounce_secrets(db: Database, connection: "Connection") -> list[bytes]:
    found = []
    async for row in queries.list_bounce_secrets(connection):
        try:
            found.append(open_bounce_secret(db.cipher, row["id"], row["secret"]))
        except SecretDamaged as error:
            log.error("a secret cannot be decrypted", problem=str(error))
    return found


def open_bounce_secret(cipher: Cipher, id_: int, stored: str) -> bytes:
    """Raises Unavailable where this node lacks the master key, SecretDamaged."""
    return b64decode(cipher.decrypt(stored, place_of_bounce_key(id_)))
