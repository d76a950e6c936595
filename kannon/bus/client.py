"""The connection to NATS of one process: made when first needed, made anew whenever it is lost.

nats-py's own reconnect is off: a fatal -ERR (maximum connections exceeded, maximum payload violation, credentials
revoked) ends its client for ever, and what unsubscribes during an outage may be subscribed again by its replay. So
every lost connection ends its client, and `open` makes the next one; attempts are spaced by a jittered backoff, so
that many processes do not meet a full server at once. Subscriptions made by `subscribed` move to the new client.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import anyio
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from kannon.bus.publish import Publisher
from kannon.errors import Unavailable

log = structlog.get_logger()

CONNECT_SECONDS = 2.0
SERVER_PAUSE_SECONDS = 0.05  # between two attempts at the same server within one `open`
FIRST_PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 4.0
LOOK_SECONDS = 0.5  # how soon a subscription notices that its client is closed
END_SECONDS = 2.0

Callback = Callable[[Msg], Awaitable[None]]


@contextmanager
def unavailable() -> Iterator[None]:
    """Every error that nats-py raises for an absent or refusing server becomes Unavailable."""
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise Unavailable(f"NATS: {error or type(error).__name__}") from error


class Connection:
    """`client` and `publisher` change with each connection made anew."""

    def __init__(self, url: str, *, name: str, jitter: Callable[[], float] = random.random) -> None:
        self._servers = [part.strip() for part in url.split(",")]
        self._name = name
        self._jitter = jitter
        self._lock = anyio.Lock()
        self._pause = FIRST_PAUSE_SECONDS
        self._not_before = 0.0
        self._last_error = ""
        self._shut = False
        self._ensured: Client | None = None
        self.client = Client()
        self.publisher: Publisher | None = None

    @property
    def ensured(self) -> bool:
        """Whether it is connected and `ensure` was called since: a server may come back with an empty store."""
        return self._ensured is self.client and self.client.is_connected

    def ensure(self) -> None:
        self._ensured = self.client

    async def open(self) -> None:
        """Returns with a connected client. Raises Unavailable, at once between two attempts."""
        if self.client.is_connected:
            return
        async with self._lock:
            if not self.client.is_connected:
                await self._attempt()

    async def _attempt(self) -> None:
        if self._shut or anyio.current_time() < self._not_before:
            raise Unavailable(self._reason("not connected"))
        before, self.publisher = self.publisher, None
        if before is not None:
            log.warning("NATS connection lost; connecting anew", why=self._last_error)
            await self._end_client(self.client)
        try:
            await self._connect()
        except Unavailable:
            self._not_before = anyio.current_time() + self._pause * (0.5 + 0.5 * self._jitter())
            self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)
            raise
        self._pause = FIRST_PAUSE_SECONDS

    async def _connect(self) -> None:
        client = Client()
        try:
            with unavailable(), anyio.fail_after(CONNECT_SECONDS):
                await client.connect(
                    self._servers,
                    name=self._name,
                    connect_timeout=CONNECT_SECONDS,  # type: ignore[arg-type]  # a float works
                    allow_reconnect=False,
                    max_reconnect_attempts=1,  # of each server, at this one connect
                    reconnect_time_wait=SERVER_PAUSE_SECONDS,  # type: ignore[arg-type]
                    error_cb=self._on_error,
                )
                publisher = Publisher(client)
                await publisher.start()
        except Unavailable as error:
            await self._end_client(client)
            raise Unavailable(self._reason(str(error).removeprefix("NATS: "))) from None
        except BaseException:
            await self._end_client(client)
            raise
        if self._last_error:
            log.info("NATS is back")
        self.client, self.publisher, self._last_error = client, publisher, ""

    async def _end_client(self, client: Client) -> None:
        with anyio.move_on_after(END_SECONDS, shield=True):
            await client.close()

    def _reason(self, otherwise: str) -> str:
        return f"NATS: {self._last_error or otherwise}"

    async def _on_error(self, error: Exception) -> None:
        self._last_error = str(error) or type(error).__name__
        if self.publisher is not None:  # while connecting, the caller gets the reason
            log.warning("NATS", why=self._last_error)

    async def end(self, subscription: Subscription) -> None:
        """Never raises: where the server is away, it has forgotten the subscription already."""
        with anyio.move_on_after(END_SECONDS, shield=True):
            try:
                await subscription.unsubscribe()
            except (NatsError, OSError) as error:
                log.debug("subscription ended while NATS is away", why=str(error))

    @asynccontextmanager
    async def subscribed(self, subject: str, callback: Callback, *, queue: str = "") -> AsyncIterator[None]:
        """Subscribed within the block, also after a connection made anew. Raises Unavailable at the start only."""
        subscription = await self._subscribe(subject, callback, queue)

        async def renew() -> None:
            nonlocal subscription
            while True:
                await anyio.sleep(LOOK_SECONDS)
                if subscription._conn.is_closed:
                    with suppress(Unavailable):
                        await self.open()
                        subscription = await self._subscribe(subject, callback, queue)

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(renew)
                yield
                group.cancel_scope.cancel()
        finally:
            await self.end(subscription)

    async def _subscribe(self, subject: str, callback: Callback, queue: str) -> Subscription:
        with unavailable(), anyio.fail_after(END_SECONDS, shield=True):  # cut in the middle it would stay for ever
            return await self.client.subscribe(subject, queue=queue, cb=callback)

    async def close(self) -> None:
        """For good. Flushes what is written, bounded."""
        self._shut = True
        if self.publisher is None:
            return
        with anyio.move_on_after(2, shield=True):
            if self.client.is_connected:
                try:
                    await self.client.flush(timeout=1)
                except (NatsError, OSError, TimeoutError) as error:
                    log.debug("NATS flush", why=str(error))
            await self.client.close()
