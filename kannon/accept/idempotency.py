"""One batch per idempotency key: a repeat gets the first answer.

In: a send with a key, and a function that stores it. Out: its result, or the stored result of the first call. Claim,
batch and result are one transaction, so either all of them are stored or none.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import anyio

from kannon.db.idempotency import claim_key, store_answer
from kannon.db.pool import Database
from kannon.mail.send_request import SendResult

if TYPE_CHECKING:
    from kannon.db.pool import Connection

StoreBatch = Callable[["Connection"], Awaitable[SendResult]]
Key = tuple[str, str]
"""The domain and its idempotency key."""


class ResultCodec(Protocol):
    """The form in which results are stored. All ways in share one: a key belongs to the domain, not to the way in."""

    def encode(self, result: SendResult) -> bytes: ...
    def decode(self, stored: bytes) -> SendResult: ...


async def store_once(
    db: Database, key: Key, digest: bytes, codec: ResultCodec, store: StoreBatch
) -> tuple[SendResult, bool]:
    """Also returns whether the batch is new. Raises AlreadyExists when the key was used for a request with another
    digest."""
    async with db.transaction() as connection:
        stored = await claim_key(connection, *key, digest)
        if stored is not None:
            return codec.decode(stored), False
        result = await store(connection)
        await store_answer(connection, *key, codec.encode(result))
    return result, True


class KeyedLock:
    """One lock per key. Repeats of a key in this process wait here without a database connection; repeats in other
    processes wait for the key's row."""

    def __init__(self) -> None:
        self._locks: dict[Key, tuple[anyio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Key) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (anyio.Lock(), 0))
        self._locks[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = lock, users - 1
