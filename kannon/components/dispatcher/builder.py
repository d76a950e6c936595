"""Builds and signs deliveries in worker processes, because signing is CPU work and would stop the event loop.

In: a batch's id and its claimed deliveries. Out: for each an envelope, or a BuildFailure. Each batch is loaded once and
compiled once per worker; a BuildJob of plain data goes to the worker and envelopes come back. When a worker dies, the
call raises Unavailable, its deliveries return to the queue, and the next call gets new workers.
"""

import asyncio
import multiprocessing
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import structlog
from cachetools import TTLCache

from kannon.components.dispatcher.worker import BuildJob, become_worker, build
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

JOB_SECONDS = 60.0  # a changed template or key takes effect within this time, also in a running batch
MAX_JOBS = 64
SIGN_FOR = timedelta(days=30)  # for tokens; then a new key signs
OVERHEAD_BYTES = 4096  # of headers and encodings, beside template and attachments


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The configuration's part of building."""

    base_url: str
    autoescape: bool
    token_ttl: timedelta
    bounce_ttl: timedelta


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """A delivery that cannot be built now. The dispatcher retries it like a deferral."""

    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class _Loaded:
    """`job` None: the batch cannot be built, for this reason. `bytes` estimates one mail."""

    job: BuildJob | None
    reason: str = ""
    bytes: int = 0


class Builder:
    """An async context manager that may be entered again after its exit. `workers` 0: a thread of this process."""

    def __init__(self, db: Database, options: BuildOptions, *, workers: int, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._options = options
        self._workers = workers
        self._clock = clock
        self._executor: Executor | None = None
        self._loaded: TTLCache[str, _Loaded] = TTLCache(MAX_JOBS, JOB_SECONDS)

    async def __aenter__(self) -> Self:
        """Starts the workers, so that the first mail does not wait for them."""
        self._executor = self._new_executor()
        await self._build_now(BuildJob.empty(), [], self._clock())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _new_executor(self) -> Executor:
        if self._workers == 0:
            return ThreadPoolExecutor(1, thread_name_prefix="build")
        # Spawned: a forked worker would inherit locks and sockets of the running event loop.
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
        if loaded.job is None:
            return [BuildFailure(delivery, loaded.reason) for delivery in deliveries]
        built = await self._build_now(loaded.job, deliveries, now)
        return [
            BuildFailure(delivery, item) if isinstance(item, str) else item
            for delivery, item in zip(deliveries, built, strict=True)
        ]

    async def estimate_bytes(self, message_id: str) -> int:
        """An estimate of one mail's size. Raises Unavailable."""
        return (await self._load(message_id)).bytes

    async def _build_now(self, job: BuildJob, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | str]:
        if self._executor is None:
            raise Unavailable("the builder is closed")
        loop = asyncio.get_running_loop()
        executor = self._executor
        try:
            return await loop.run_in_executor(executor, build, job, list(deliveries), now)
        except BrokenProcessPool:
            if self._executor is executor:
                log.error("build worker died; starting new ones")
                self._executor = self._new_executor()
            raise Unavailable("a build worker died") from None

    async def _load(self, message_id: str) -> _Loaded:
        loaded = self._loaded.get(message_id)
        if loaded is None:
            loaded = self._loaded[message_id] = await self._load_now(message_id)
        return loaded

    async def _load_now(self, message_id: str) -> _Loaded:
        batch = await find_batch(self._db, message_id)
        if batch is None:
            return _Loaded(None, f"batch {message_id} or its template is gone")
        dkim_keys = await list_active_dkim_keys(self._db, batch.domain)
        if not dkim_keys:
            return _Loaded(None, f"domain {batch.domain} has no active DKIM key")
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
        # Attachments are base64; the HTML comes twice, once as text.
        content = batch.content
        size = sum(len(a.content) for a in content.attachments) * 4 // 3 + 2 * len(content.html) + OVERHEAD_BYTES
        return _Loaded(BuildJob(secrets.token_hex(8), batch, settings), bytes=size)


def _new_stats_key() -> NewStatsKey:
    key, public_pem = generate_token_key()
    return NewStatsKey(key.kid, key.private_pem, public_pem)
