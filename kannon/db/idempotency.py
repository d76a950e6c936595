"""Idempotency keys: the response to a send, stored with it in one transaction, for 24 hours.

A repeat that arrives while the first send still runs waits for its end: the row itself is the lock, also between
processes. If the first send fails, its claim is rolled back and the repeat becomes the first.
"""

from typing import TYPE_CHECKING

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.errors import AlreadyExists

if TYPE_CHECKING:
    from kannon.db.pool import Connection


async def claim_key(connection: "Connection", domain: str, key: str, request_sha256: bytes) -> bytes | None:
    """Inside the send's transaction. None: this send has the key; bytes: the response to an earlier send of the same
    request. Raises AlreadyExists where the key was used for another request."""
    if await queries.claim_idempotency_key(connection, domain=domain, key=key, request_sha256=request_sha256):
        return None
    row = await queries.find_idempotent_answer(connection, domain=domain, key=key)
    if row["request_sha256"] != request_sha256:
        raise AlreadyExists("idempotency-key: was used for another request")
    answer: bytes = row["response"]
    return answer


async def store_answer(connection: "Connection", domain: str, key: str, response: bytes) -> None:
    await queries.store_idempotent_answer(connection, domain=domain, key=key, response=response)


@repeat_on_conflict
async def delete_expired(db: Database) -> None:
    async with db.acquire() as connection:
        await queries.delete_expired_idempotency_keys(connection)
