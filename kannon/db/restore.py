"""Replaces the embedded database by a restored one, also while it is in use.

In: a server's URL. kannon.embedded.backup restores the backup into a database beside the current one; this module
completes it and renames both in one transaction. Clients are disconnected, and find the restored one when they
reconnect. Two things of the current database are kept: its keys, which signed the links and bounce addresses of mail
under way; and its delivery ids, which are never used a second time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import asyncpg
import structlog

from kannon.db.cipher import Cipher
from kannon.db.keys import insert_bounce_secret, open_bounce_secret
from kannon.db.pool import AWAY, COMMAND_SECONDS, CONNECT_SECONDS, describe
from kannon.db.queries import queries
from kannon.db.schema import find_version
from kannon.errors import Unavailable
from kannon.mail.master_key import SecretDamaged

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

log = structlog.get_logger()

RESTORED = "kannon_restored"
_SERVER = "postgres"  # the database that every server has, for statements on the others
_ID_GAP = 1 << 32  # more than is sent between a backup and its restore; for where the current database cannot be read
_REPEAT_SECONDS = 0.05


def of_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return url.replace("/kannon?", f"/{name}?", 1)


async def schema_version(url: str) -> int | None:
    """The newest migration applied; None for a database that is not Kannon's, or is empty. Raises Unavailable."""
    async with _connected(url) as connection:
        try:
            return await find_version(connection)
        except asyncpg.UndefinedTableError:
            return None


async def create_restored(url: str) -> None:
    """An empty database to restore into; replaces one that an interrupted run left. Raises Unavailable."""
    async with _connected(of_database(url, _SERVER)) as connection:
        await queries.drop_restored(connection)
        await queries.create_restored(connection)


async def drop_restored(url: str) -> None:
    async with _connected(of_database(url, _SERVER)) as connection:
        await queries.drop_restored(connection)


async def complete_restored(url: str, cipher: Cipher, *, keep_current: bool) -> None:
    """Copies keys and delivery ids of the current database into the restored one. `cipher` has the master keys of both,
    and that of the restored one is active. Raises Unavailable."""
    async with _connected(of_database(url, RESTORED)) as restored, restored.transaction():
        if not keep_current:
            await queries.skip_delivery_ids(restored, last=0, gap=_ID_GAP)
            return
        async with _connected(url) as current:
            last = await queries.find_last_delivery_id(current)
            await queries.skip_delivery_ids(restored, last=last, gap=_ID_GAP)
            async for key in queries.list_stats_keys(current):
                await queries.copy_stats_key(restored, **key)
            restored_secrets = await _list_bounce_secrets(restored, cipher)
            for secret in await _list_bounce_secrets(current, cipher):
                if secret not in restored_secrets:
                    await insert_bounce_secret(cipher, restored, secret)


async def _list_bounce_secrets(connection: "Connection", cipher: Cipher) -> list[bytes]:
    """The oldest first. The current database may have the schema of an older version, where they are binary."""
    found: list[bytes] = []
    async for row in queries.list_bounce_secrets_by_age(connection):
        stored = row["secret"]
        try:
            found.append(stored if isinstance(stored, bytes) else open_bounce_secret(cipher, row["id"], stored))
        except SecretDamaged as error:
            log.error("a secret cannot be decrypted", problem=str(error))
    return found


async def replace_current(url: str) -> None:
    """The restored database becomes the current one, or nothing changes. Raises Unavailable."""
    server = of_database(url, _SERVER)
    problem: Exception | None = None
    async with _connected(server) as connection, _connected(server) as other:
        await queries.drop_replaced(connection)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_disconnect_clients, other)
            try:
                # A rename keeps new clients out, and waits up to 5 s for connected ones, which are disconnected
                # meanwhile.
                async with connection.transaction():
                    await queries.rename_current(connection)
                    await queries.rename_restored(connection)
            except (*AWAY, asyncpg.ObjectInUseError) as error:
                problem = error
            tasks.cancel_scope.cancel()
    if problem is not None:
        raise Unavailable(f"PostgreSQL: {describe(problem)}") from problem
    async with _connected(server) as connection:
        await queries.drop_replaced(connection)


async def _disconnect_clients(connection: "Connection") -> None:
    with suppress(*AWAY):
        while True:
            await queries.end_sessions(connection)
            await anyio.sleep(_REPEAT_SECONDS)


@asynccontextmanager
async def _connected(url: str) -> "AsyncIterator[Connection]":
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS)
        try:
            yield connection
        finally:
            with anyio.CancelScope(shield=True):
                await connection.close(timeout=CONNECT_SECONDS)
    except AWAY as error:
        raise Unavailable(f"PostgreSQL: {describe(error)}") from error
