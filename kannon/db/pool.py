"""The pool of connections, and the one place where PostgreSQL's absence becomes `Unavailable`.

In: a URL. Out: connections, with or without a transaction, for the wrappers beside this file. Opening never fails:
connections are made when first needed, so a server that is away at boot or later is one and the same case, and it is
reached again without a restart. Every wait has a limit, `release()` too (it would hang on a frozen server). A wait for
a free connection ends as `Throttled`, a deadlock or a serialization failure as `Conflict` (conflicts.py repeats those).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from kannon.errors import Conflict, Throttled, Unavailable

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]

CONNECT_SECONDS = 2.5  # below the 3 s within which the API must say UNAVAILABLE
COMMAND_SECONDS = 60.0  # the longest statement is the COPY of 100,000 recipients, about 2 s here
RELEASE_SECONDS = 0.8  # for PostgreSQL to confirm that a statement was cancelled; else the connection is cut
CLOSE_SECONDS = 5.0
PATIENCE_SECONDS = 2.0  # an API call waits so long for a free connection
PROMPT_PATIENCE_SECONDS = 1.5  # of PROMPT_SECONDS, so that a wait for a connection is not taken for an absent server
PROMPT_SECONDS = 2.0  # with the release below 3 s, also where the server freezes in the middle of a statement

# asyncpg's way of saying that the server, or the way to it, is gone; a statement that is wrong is none of these.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, crashed
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, in the middle of a failover
    asyncpg.UndefinedTableError,  # not migrated yet
)

# 40P01 and 40001: PostgreSQL asks for the transaction to be repeated.
CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Places:
    """One for each connection that a pool may have: the wait for a connection is told apart from connecting.
    `connected`: those whose holder has a connection, and does not wait for PostgreSQL to give it one."""

    def __init__(self, size: int) -> None:
        self.free = asyncio.Semaphore(size)
        self.connected = 0


@dataclass(frozen=True, slots=True)
class Database:
    """Shared by all components of a process; safe to use from any task of its event loop."""

    pool: "Pool"
    places: Places
    patience: float | None = None
    """The longest wait for a free connection; None: until there is one, for a fixed number of tasks."""
    seconds: float | None = None
    """The longest that a connection may be held; None: as long as its statements take, each with a limit of its own."""

    @property
    def size(self) -> int:
        """The most connections."""
        return self.pool.get_max_size()

    def prompt(self) -> "Database":
        """The same database for those who must know soon: what takes longer than PROMPT_SECONDS is Unavailable."""
        return replace(self, patience=PROMPT_PATIENCE_SECONDS, seconds=PROMPT_SECONDS)

    @asynccontextmanager
    async def acquire(self) -> "AsyncIterator[Connection]":
        """A connection outside any transaction. Raises Unavailable, also for an error inside the block."""
        try:
            async with asyncio.timeout(self.seconds):
                await self._take_place()
                try:
                    connection = await self.pool.acquire(timeout=CONNECT_SECONDS)
                    self.places.connected += 1
                    try:
                        yield connection
                    finally:
                        self.places.connected -= 1
                        await self.pool.release(connection, timeout=RELEASE_SECONDS)
                finally:
                    self.places.free.release()
        except CONFLICTS as error:
            raise Conflict(f"PostgreSQL: {describe(error)}") from error
        except AWAY as error:
            raise Unavailable(f"PostgreSQL: {describe(error)}") from error

    async def _take_place(self) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self.places.free.acquire()
        except TimeoutError:
            if not self.places.connected:
                raise Unavailable("PostgreSQL: does not answer those who connect") from None
            raise Throttled(
                f"all {self.size} database connections of this pool were in use for {self.patience} s"
            ) from None

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[Connection]":
        """All or nothing; committed when the block ends. Raises Unavailable, after which nothing is certain."""
        async with self.acquire() as connection, connection.transaction():
            yield connection

    async def ping(self) -> None:
        """Raises Unavailable."""
        async with self.acquire() as connection:
            await connection.fetchval("SELECT 1", timeout=CONNECT_SECONDS)

    async def close(self) -> None:
        """Waits for connections in use for a moment, then cuts them."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()


def describe(error: BaseException) -> str:
    """One line for the log; never shown to a caller of the API."""
    if isinstance(error, asyncpg.UndefinedTableError):
        return "its tables are not made yet: the database is not migrated"
    return " ".join(str(error).split()) or type(error).__name__


async def open_database(
    url: str, *, pool_size: int = 10, patience: float | None = PATIENCE_SECONDS, name: str = "kannon"
) -> Database:
    """Connects to nothing yet. `url` as in libpq, a Unix socket directory given as `?host=/path`. `name` is what
    pg_stat_activity shows."""
    pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=pool_size,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        reset=_leave_as_it_is,
        server_settings={"application_name": name, "timezone": "UTC"},
    )
    return Database(pool, Places(pool_size), patience)


async def _leave_as_it_is(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No statement of ours changes the session, so asyncpg's RESET ALL at each release would be a round trip for
    nothing, and half of the time of a small send. An open transaction is rolled back before this is called."""
