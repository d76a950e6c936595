"""The connection to NATS of one process: made when first needed, made anew whenever it is lost.

nats-py's own reconnect is off: a fatal -ERR (maximum connections exceeded, maximum payload violation, credentials
revoked) ends its client for ever, and its replay may subscribe again to a subject that was unsubscribed during an
outage. Every lost connection therefore ends its client, and `open` makes the next one; a jittered backoff spaces the
attempts, for many processes may reconnect to one full server. Subscriptions made by `subscribed` move to the new
client.
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
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError, ServerError

from kannon.bus.publish import Publisher
from kannon.errors import Unavailable

log = structlog.get_logger()

REQUEST_SECONDS = 5.0
CONNECT_SECONDS = 2.0
SERVER_PAUSE_SECONDS = 0.05  # between two attempts at the same server within one `open`
FIRST_PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 4.0
RENEW_SECONDS = 0.5  # how soon a subscription notices that its client is closed
RENEW_IDLE_SECONDS = 5.0  # while the client is connected
END_SECONDS = 2.0

Callback = Callable[[Msg], Awaitable[None]]


@contextmanager
def unavailable() -> Iterator[None]:
    """Every error that nats-py raises for an absent or refusing server becomes Unavailable."""
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise Unavailable(f"NATS: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """One line for the log, in the server's words where it has given a reason."""
    if isinstance(error, APIError) and error.description:
        return error.description
    return str(error).removeprefix("nats: ") or type(error).__name__


class _Client(Client):
    """Calls `on_close` as soon as it closes. nats-py leaves its own callback out when the socket fails meanwhile."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        super().__init__()
        self._on_close = on_close

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        if not self.is_closed:
            self._on_close()
        await super()._close(status, do_cbs)


class Connection:
    """`client` and `publisher` are others after each reconnect."""

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
        self._requests: set[anyio.CancelScope] = set()
        self.count = 0
        """Of the connections that were made."""
        self.client = Client()
        self.publisher: Publisher | None = None
        self.lost = anyio.Event()
        """Set when `client` is closed; each connection has its own."""

    @property
    def ensured(self) -> bool:
        """Whether the streams were ensured over this very connection: a server may come back with an empty store."""
        return self._ensured is self.client and self.client.is_connected

    def ensure(self) -> None:
        self._ensured = self.client

    async def open(self) -> None:
        """Returns with a connected client. Raises Unavailable; between two attempts it does so at once."""
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
            if self.client.last_error is not None:  # nats-py reports a fatal -ERR in no other way
                self._last_error = describe(self.client.last_error)
            log.warning("NATS connection lost; reconnecting", why=self._last_error)
            await self._end_client(self.client)
        try:
            await self._connect()
        except Unavailable:
            self._not_before = anyio.current_time() + self._pause * (0.5 + 0.5 * self._jitter())
            self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)
            raise
        self._pause = FIRST_PAUSE_SECONDS

    async def _connect(self) -> None:
        lost = anyio.Event()

        def on_close() -> None:
            lost.set()
            if self.client is client:
                self._end_waits()

        client = _Client(on_close)
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
            log.info("NATS connection restored")
        self.client, self.publisher, self.lost, self._last_error = client, publisher, lost, ""
        self.count += 1

    def _end_waits(self) -> None:
        """No reply and no acknowledgement will come over this connection."""
        if self.publisher is not None:
            self.publisher.fail()
        for scope in list(self._requests):
            scope.cancel()

    async def _end_client(self, client: Client) -> None:
        with anyio.move_on_after(END_SECONDS, shield=True):
            await client.close()

    def _reason(self, otherwise: str) -> str:
        return f"NATS: {self._last_error or otherwise}"

    async def _on_error(self, error: Exception) -> None:
        self._last_error = describe(error)
        if self.publisher is not None:  # while connecting, the caller gets the reason
            log.warning("NATS connection error", why=self._last_error)

    async def end(self, subscription: Subscription) -> None:
        """Never raises: a subscription ends with its connection in any case."""
        with anyio.move_on_after(END_SECONDS, shield=True):
            try:
                await subscription.unsubscribe()
            except (NatsError, OSError) as error:
                log.debug("unsubscribe lost", why=describe(error))

    def jetstream(self) -> JetStreamContext:
        return self.client.jetstream(timeout=REQUEST_SECONDS)

    async def request(self, subject: str, payload: bytes, *, seconds: float | None = None) -> Msg:
        """Raises Unavailable where no reply comes in time, and as soon as the connection is lost."""
        await self.open()
        timeout = REQUEST_SECONDS if seconds is None else seconds
        with unavailable(), anyio.CancelScope() as scope:
            self._requests.add(scope)
            try:
                return await self.client.request(subject, payload, timeout=timeout)
            finally:
                self._requests.discard(scope)
        raise Unavailable("NATS: connection lost")

    async def send(self, subject: str, payload: bytes) -> None:
        """Core NATS: no acknowledgement. Raises Unavailable while disconnected."""
        with unavailable():
            await self.client.publish(subject, payload)

    async def find_message(
        self, stream: str, *, sequence: int | None = None, subject: str | None = None
    ) -> RawStreamMsg | None:
        """Of a stream: the message of that sequence, the last one of that subject, or with both the first of the
        subject at or behind the sequence. Raises Unavailable."""
        await self.open()
        following = sequence is not None and subject is not None
        with unavailable():
            try:
                return await self.jetstream().get_msg(stream, seq=sequence, subject=subject, next=following)
            except NotFoundError:
                return None

    async def delete_message(self, stream: str, sequence: int) -> bool:
        """False where it is gone already. Raises Unavailable."""
        await self.open()
        with unavailable():
            try:
                return await self.jetstream().delete_msg(stream, sequence)
            except (NotFoundError, ServerError):
                return False

    @asynccontextmanager
    async def subscribed(self, subject: str, callback: Callback, *, queue: str = "") -> AsyncIterator[None]:
        """Subscribed within the block, also after a reconnect. Raises Unavailable at the start only."""
        subscription = await self._subscribe(subject, callback, queue)

        async def renew() -> None:
            nonlocal subscription
            while True:
                with anyio.move_on_after(RENEW_IDLE_SECONDS):
                    await self.lost.wait()
                await anyio.sleep(RENEW_SECONDS)
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
        with unavailable(), anyio.fail_after(END_SECONDS, shield=True):  # cancelled in the middle, it would never end
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
                    log.debug("NATS flush failed", why=describe(error))
            await self.client.close()
