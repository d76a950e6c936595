"""Replaces the embedded database by a restored one, while others use it or not.

In: a server's URL. The backup is restored into a database beside the present one (kannon.embedded.backup), completed
here, and takes its name in one transaction: whoever is connected is cut off and finds the restored one at the next try.
Two things of the present database live on: its keys, with which links and bounce addresses of mails that are under way
were signed; and its delivery ids, which are never given out a second time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import asyncpg

from kannon.db.pool import AWAY, COMMAND_SECONDS, CONNECT_SECONDS, describe
from kannon.db.queries import queries
from kannon.db.schema import find_version
from kannon.errors import Unavailable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

RESTORED = "kannon_restored"
_SERVER = "postgres"  # the database that every server has, for statements about the others
_ID_GAP = 1 << 32  # more than anyone sends between a backup and its return, if the present database cannot be asked
_AGAIN_SECONDS = 0.05


def of_database(url: str, name: str) -> str:
    """The same server's database of that name."""
    return url.replace("/kannon?", f"/{name}?", 1)


async def schema_version(url: str) -> int | None:
    """The newest migration applied; None for a database that is not Kannon's, or is empty. Raises Unavailable."""
    async with _connected(url) as connection:
        try:
            return await find_version(connection)
        except asyncpg.UndefinedTableError:
            return None


async def create_restored(url: str) -> None:
    """An empty database to restore into, in place of one that an interrupted run left. Raises Unavailable."""
    async with _connected(of_database(url, _SERVER)) as connection:
        await queries.drop_restored(connection)
        await queries.create_restored(connection)


async def drop_restored(url: str) -> None:
    async with _connected(of_database(url, _SERVER)) as connection:
        await queries.drop_restored(connection)


async def complete_restored(url: str, *, keep_present: bool) -> None:
    """What lives on of the present database goes into the restored one. Raises Unavailable."""
    async with _connected(of_database(url, RESTORED)) as restored, restored.transaction():
        if not keep_present:
            await queries.skip_delivery_ids(restored, last=0, gap=_ID_GAP)
            return
        async with _connected(url) as present:
            last = await queries.find_last_delivery_id(present)
            await queries.skip_delivery_ids(restored, last=last, gap=_ID_GAP)
            async for key in queries.list_stats_keys(present):
                await queries.keep_stats_key(restored, **key)
            async for row in queries.list_bounce_secrets_to_keep(present):
                await queries.keep_bounce_secret(restored, secret=row["secret"])


async def put_in_place(url: str) -> None:
    """The restored database becomes the present one, or nothing happens. Raises Unavailable."""
    server = of_database(url, _SERVER)
    problem: Exception | None = None
    async with _connected(server) as connection, _connected(server) as other:
        await queries.drop_replaced(connection)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cut_off, other)
            try:
                # A rename keeps newcomers out, and waits up to 5 s for those who are in: they are cut off meanwhile.
                async with connection.transaction():
                    await queries.set_present_aside(connection)
                    await queries.put_restored_in_place(connection)
            except (*AWAY, asyncpg.ObjectInUseError) as error:
                problem = error
            tasks.cancel_scope.cancel()
    if problem is not None:
        raise Unavailable(f"PostgreSQL: {describe(problem)}") from problem
    async with _connected(server) as connection:
        await queries.drop_replaced(connection)


async def _cut_off(connection: "Connection") -> None:
    with suppress(*AWAY):
        while True:
            await queries.end_sessions(connection)
            await anyio.sleep(_AGAIN_SECONDS)


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
