"""Builds and signs deliveries, in worker processes: signing is CPU work, and the event loop has mail to move.

In: a batch's id and its claimed deliveries. Out: an envelope for each, or why not. A batch is loaded once and compiled
once per worker; what crosses the process boundary is plain data one way (pages.Page) and envelopes the other.
A worker that dies breaks the call (Unavailable): the page goes back to the queue, and the next call has new workers.
"""

import asyncio
import multiprocessing
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import structlog

from kannon.components.dispatcher.worker import Page, become_worker, build_page
from kannon.db.batches import find_batch
from kannon.db.dkim_keys import list_active_dkim_keys
from kannon.db.keys import NewStatsKey, bounce_secrets, current_stats_key
from kannon.db.pool import Database
from kannon.errors import Unavailable
from kannon.mail.batch import Delivery
from kannon.mail.build.template import BuildSettings
from kannon.mail.envelope import Envelope
from kannon.mail.token import TokenKey, generate_token_key

log = structlog.get_logger()

PAGE_SECONDS = 60.0  # how long a changed template or key may go unnoticed within a running batch
PAGES = 64  # batches kept loaded
SIGN_FOR = timedelta(days=30)  # a token key signs that long, then the next one does
OVERHEAD_BYTES = 4096  # headers and encoding beside template and attachments


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the configuration says about building."""

    base_url: str
    autoescape: bool
    token_ttl: timedelta
    bounce_ttl: timedelta


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """This delivery cannot be built now; it is retried like a deferral."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class _Loaded:
    """`page` None: the batch cannot be built, and why. `until` is on the event loop's clock."""

    page: Page | None
    reason: str
    until: float
    bytes: int


class Builder:
    """Open it with `async with`, any number of times one after the other. `workers` 0: a thread of this process."""

    def __init__(self, db: Database, options: BuildOptions, *, workers: int, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._options = options
        self._workers = workers
        self._clock = clock
        self._executor: Executor | None = None
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()

    async def __aenter__(self) -> Self:
        """Starts the workers now rather than at the first mail."""
        self._executor = self._new_executor()
        await self._build_now(Page.empty(), [], self._clock())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _new_executor(self) -> Executor:
        if self._workers == 0:
            return ThreadPoolExecutor(1, thread_name_prefix="build")
        # Spawned, not forked: a fork would copy locks and sockets of a running event loop.
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=become_worker,
            initargs=(os.getpid(),),
        )

    async def build(
        self, message_id: str, deliveries: Sequence[Delivery], now: datetime
    ) -> list[Envelope | BuildFailure]:
        """In the order of `deliveries`, all of batch `message_id`. Raises Unavailable."""
        loaded = await self._load(message_id)
        if loaded.page is None:
            return [BuildFailure(delivery, loaded.reason) for delivery in deliveries]
        built = await self._build_now(loaded.page, deliveries, now)
        return [
            BuildFailure(delivery, item) if isinstance(item, str) else item
            for delivery, item in zip(deliveries, built, strict=True)
        ]

    async def estimate_bytes(self, message_id: str) -> int:
        """Roughly one mail's size. Raises Unavailable."""
        return (await self._load(message_id)).bytes

    async def _build_now(self, page: Page, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | str]:
        if self._executor is None:
            raise Unavailable("the builder is closed")
        loop = asyncio.get_running_loop()
        executor = self._executor
        try:
            return await loop.run_in_executor(executor, build_page, page, list(deliveries), now)
        except BrokenProcessPool:
            if self._executor is executor:
                log.error("a build worker died; new ones are started")
                self._executor = self._new_executor()
            raise Unavailable("a build worker died") from None

    async def _load(self, message_id: str) -> _Loaded:
        now = asyncio.get_running_loop().time()
        loaded = self._loaded.get(message_id)
        if loaded is None or loaded.until < now:
            loaded = self._loaded[message_id] = await self._load_now(message_id, now + PAGE_SECONDS)
            while len(self._loaded) > PAGES:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(message_id)
        return loaded

    async def _load_now(self, message_id: str, until: float) -> _Loaded:
        batch = await find_batch(self._db, message_id)
        if batch is None:
            return _Loaded(None, f"batch {message_id} or its template is gone", until, 0)
        dkim_keys = await list_active_dkim_keys(self._db, batch.domain)
        if not dkim_keys:
            return _Loaded(None, f"domain {batch.domain} has no active DKIM key", until, 0)
        token_key = await current_stats_key(
            self._db,
            now=self._clock(),
            sign_for=SIGN_FOR,
            token_ttl=self._options.token_ttl,
            generate=_new_stats_key,
        )
        bounce_secret = (await bounce_secrets(self._db, generate=secrets.token_bytes))[0]
        settings = BuildSettings(
            dkim_keys=tuple(dkim_keys),
            token_key=TokenKey(token_key.kid, token_key.private_pem),
            token_ttl=self._options.token_ttl,
            bounce_secret=bounce_secret,
            bounce_ttl=self._options.bounce_ttl,
            base_url=self._options.base_url,
            autoescape=self._options.autoescape,
        )
        # Attachments travel as base64, the HTML twice: once as text.
        content = batch.content
        size = sum(len(a.content) for a in content.attachments) * 4 // 3 + 2 * len(content.html) + OVERHEAD_BYTES
        return _Loaded(Page(f"{message_id} {until}", batch, settings), "", until, size)


def _new_stats_key() -> NewStatsKey:
    key, public_pem = generate_token_key()
    return NewStatsKey(key.kid, key.private_pem, public_pem)
