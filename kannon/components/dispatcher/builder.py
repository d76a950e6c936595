"""Builds and signs deliveries in worker processes, because signing is CPU work and would stop the event loop.

In: claimed deliveries of any batches. Out: for each an envelope, or a BuildFailure. A BuildJob for each batch goes to a
worker, all those of a call to the same one, and envelopes come back. The text of a template goes along only when no
worker has had it, or when the worker lacks it. When a worker dies, the call raises Unavailable, its deliveries return
to the queue, and the next call gets new workers.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Self

import structlog
from cachetools import LRUCache

from kannon.components.build_worker import BuildJob, MissingTemplates, TemplateSource, become_worker, build
from kannon.components.dispatcher.inputs import BuildInput, BuildInputs, BuildOptions
from kannon.db.pool import Database
from kannon.errors import Unavailable
from kannon.mail.batch import Delivery
from kannon.mail.envelope import Envelope

log = structlog.get_logger()

MAX_SENT = 10_000  # keys of templates


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """A delivery that cannot be built now. The dispatcher retries it like a deferral."""

    delivery: Delivery
    reason: str


class Builder:
    """An async context manager that may be entered again after its exit. `workers` 0: a thread of this process."""

    def __init__(self, db: Database, options: BuildOptions, *, workers: int, clock: Callable[[], datetime]) -> None:
        self._inputs = BuildInputs(db, options, clock)
        self._workers = workers
        self._clock = clock
        self._executor: Executor | None = None
        self._sent: LRUCache[str, None] = LRUCache(MAX_SENT)  # templates that some worker has

    async def __aenter__(self) -> Self:
        """Starts the workers, so that the first mail does not wait for them."""
        self._executor = self._new_executor()
        await self._call([], {}, self._clock())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _new_executor(self) -> Executor:
        self._sent.clear()
        if self._workers == 0:
            return ThreadPoolExecutor(1, thread_name_prefix="build")
        # Spawned: a forked worker would inherit locks and sockets of the running event loop.
        return ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=become_worker,
            initargs=(os.getpid(),),
        )

    def forget_keys(self) -> None:
        """The next call loads keys anew."""
        self._inputs.forget_keys()

    async def estimate_bytes(self, message_ids: Collection[str]) -> Mapping[str, int]:
        """An estimate of the size of one mail of each batch. Raises Unavailable."""
        return await self._inputs.estimate_bytes(message_ids)

    async def build(self, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | BuildFailure]:
        """In the order of `deliveries`; those of a batch should stand together. Raises Unavailable."""
        inputs = await self._inputs.load({delivery.message_id for delivery in deliveries})
        jobs: list[tuple[BuildInput, Sequence[Delivery]]] = []
        for message_id, group in groupby(deliveries, attrgetter("message_id")):
            if not isinstance(found := inputs[message_id], str):
                jobs.append((found, list(group)))
        built = iter(await self._build(jobs, now) if jobs else [])
        results: list[Envelope | BuildFailure] = []
        for delivery in deliveries:
            found = inputs[delivery.message_id]
            item = found if isinstance(found, str) else next(built)
            results.append(BuildFailure(delivery, item) if isinstance(item, str) else item)
        return results

    async def _build(
        self, of_batches: Sequence[tuple[BuildInput, Sequence[Delivery]]], now: datetime
    ) -> list[Envelope | str]:
        inputs = [each for each, _ in of_batches]
        jobs = [BuildJob(each.key, each.batch.content.global_fields, group) for each, group in of_batches]
        sources = await self._inputs.sources([each for each in inputs if each.key not in self._sent])
        self._sent.update(dict.fromkeys(sources))
        built = await self._call(jobs, sources, now)
        if isinstance(built, MissingTemplates):
            # Any worker may take the call, so all sources go along.
            built = await self._call(jobs, await self._inputs.sources(inputs), now)
        if isinstance(built, MissingTemplates):
            raise AssertionError("a worker lacks a template that it was given")
        return built

    async def _call(
        self, jobs: Sequence[BuildJob], sources: Mapping[str, TemplateSource | str], now: datetime
    ) -> list[Envelope | str] | MissingTemplates:
        executor = self._executor
        if executor is None:
            raise Unavailable("the builder is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, build, jobs, sources, now)
        except BrokenProcessPool:
            if self._executor is executor:
                log.error("build worker died; starting new ones")
                self._executor = self._new_executor()
            raise Unavailable("a build worker died") from None
