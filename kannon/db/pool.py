"""The connection pool, and the one place where an error of PostgreSQL's absence becomes `Unavailable`.

In: a URL. Out: connections, with or without a transaction, for the modules beside this file. Opening the pool never
fails: connections are made when first needed, so a server that is away at the start is handled as one that goes away
later, and the pool reconnects without a restart. Every wait has a timeout, that of `release()` too, which would hang on
a frozen server. A wait for a free connection that is too long raises `Throttled`; a deadlock or a serialization failure
raises `Conflict`, which conflicts.py repeats.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from kannon.db.cipher import Cipher
from kannon.errors import Conflict, Throttled, Unavailable

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]

CONNECT_SECONDS = 2.5  # below the 3 s within which the API must return UNAVAILABLE
COMMAND_SECONDS = 60.0  # statement timeout; the longest is the COPY of 100,000 recipients, about 2 s
RELEASE_SECONDS = 0.8  # for PostgreSQL to confirm a cancelled statement; then the connection is closed
CLOSE_SECONDS = 5.0
ACQUIRE_TIMEOUT_SECONDS = 2.0  # of an API call, for a free connection
FAST_ACQUIRE_TIMEOUT_SECONDS = 1.5  # below the next one: a full pool is not reported as an absent server
FAST_HOLD_TIMEOUT_SECONDS = 2.0  # with the release below 3 s, also where the server freezes in a statement

# What asyncpg raises when the server, or the network to it, is gone; a wrong statement raises none of these.
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


class Permits:
    """One for each connection that a pool may have, so that a wait for a free connection differs from connecting.
    `connected`: permits whose holder has a connection, and does not wait for PostgreSQL to accept one."""

    def __init__(self, size: int) -> None:
        self.free = asyncio.Semaphore(size)
        self.connected = 0


@dataclass(frozen=True, slots=True)
class Database:
    """Shared by all components of a process; safe to use from any task of its event loop."""

    pool: "Pool"
    permits: Permits
    acquire_timeout: float | None = None
    """For a free connection, in seconds; None: no limit, for pools that a fixed number of tasks share."""
    hold_timeout: float | None = None
    """From the call to the release; None: no limit beside the statement timeout."""
    url: str = ""
    """For sessions outside the pool."""
    cipher: Cipher = field(default_factory=Cipher)
    """Encrypts and decrypts the secrets in this database."""

    @property
    def size(self) -> int:
        """The maximum number of connections."""
        return self.pool.get_max_size()

    def fail_fast(self) -> "Database":
        """The same pool with short timeouts: a use that is longer than FAST_HOLD_TIMEOUT_SECONDS raises Unavailable."""
        return replace(self, acquire_timeout=FAST_ACQUIRE_TIMEOUT_SECONDS, hold_timeout=FAST_HOLD_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def acquire(self) -> "AsyncIterator[Connection]":
        """A connection outside any transaction. Raises Unavailable, also for an error inside the block."""
        try:
            async with asyncio.timeout(self.hold_timeout):
                await self._acquire_permit()
                try:
                    connection = await self.pool.acquire(timeout=CONNECT_SECONDS)
                    self.permits.connected += 1
                    try:
                        yield connection
                    finally:
                        self.permits.connected -= 1
                        await self.pool.release(connection, timeout=RELEASE_SECONDS)
                finally:
                    self.permits.free.release()
        except CONFLICTS as error:
            raise Conflict(f"PostgreSQL: {describe(error)}") from error
        except AWAY as error:
            raise Unavailable(f"PostgreSQL: {describe(error)}") from error

    async def _acquire_permit(self) -> None:
        try:
            async with asyncio.timeout(self.acquire_timeout):
                await self.permits.free.acquire()
        except TimeoutError:
            if not self.permits.connected:
                raise Unavailable("PostgreSQL: accepts no connection") from None
            raise Throttled(
                f"all {self.size} database connections of this pool were in use for {self.acquire_timeout} s"
            ) from None

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[Connection]":
        """Committed when the block ends. Raises Unavailable: the transaction may be committed or not."""
        async with self.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def session(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """A connection outside the pool, for as long as the block takes. Raises Unavailable."""
        try:
            connection = await asyncpg.connect(self.url, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS)
            try:
                yield connection
            finally:
                connection.terminate()
        except AWAY as error:
            raise Unavailable(f"PostgreSQL: {describe(error)}") from error

    async def ping(self) -> None:
        """Raises Unavailable."""
        async with self.acquire() as connection:
            await connection.fetchval("SELECT 1", timeout=CONNECT_SECONDS)

    async def close(self) -> None:
        """Waits CLOSE_SECONDS for connections in use, then closes them."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()


def describe(error: BaseException) -> str:
    """One line for the log; the API never sends it to a caller."""
    if isinstance(error, asyncpg.UndefinedTableError):
        return "the database has no tables of Kannon yet: run kannon migrate"
    return " ".join(str(error).split()) or type(error).__name__


async def open_database(
    url: str,
    *,
    pool_size: int = 10,
    acquire_timeout: float | None = ACQUIRE_TIMEOUT_SECONDS,
    name: str = "kannon",
    cipher: Cipher | None = None,
) -> Database:
    """Makes no connection yet. `url` as in libpq, a Unix socket directory given as `?host=/path`. `name` is the
    application_name in pg_stat_activity. Without `cipher` no secret can be stored."""
    pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=pool_size,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        reset=_no_reset,
        server_settings={"application_name": name, "timezone": "UTC"},
    )
    return Database(pool, Permits(pool_size), acquire_timeout, url=url, cipher=cipher or Cipher())


async def _no_reset(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No statement of Kannon changes the session, so asyncpg's RESET ALL at each release is not needed; it would be
    half of the time of a small send. asyncpg rolls an open transaction back before this call."""
