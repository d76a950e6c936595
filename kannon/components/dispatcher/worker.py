"""The code of a build worker: renders and signs deliveries of one batch. Pure functions over plain data.

In: a BuildJob and deliveries of its batch. Out: envelopes. Between calls a worker keeps compiled batches only, by the
key of their job; a job read anew from the database has a new key.
"""

import ctypes
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cachetools import LRUCache

from kannon.mail.batch import Batch, Delivery
from kannon.mail.build.template import BuildSettings, CompiledBatch, compile_batch
from kannon.mail.envelope import Envelope

MAX_COMPILED = 16  # batches, of one worker
PR_SET_PDEATHSIG = 1  # linux/prctl.h

_compiled: LRUCache[str, CompiledBatch | str] = LRUCache(MAX_COMPILED)


@dataclass(frozen=True, slots=True)
class BuildJob:
    """A batch and the settings that building it needs; `key` names this state of both. `batch` None: an empty job."""

    key: str
    batch: Batch | None
    settings: BuildSettings | None

    @classmethod
    def empty(cls) -> Self:
        return cls("", None, None)


def build(job: BuildJob, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | str]:
    """In the order of `deliveries`; a string is the reason why that one cannot be built. No fault of a mail raises."""
    if not deliveries:
        return []
    compiled = _compile(job)
    if isinstance(compiled, str):
        return [compiled for _ in deliveries]
    return [_fill(compiled, delivery, now) for delivery in deliveries]


def _compile(job: BuildJob) -> CompiledBatch | str:
    found = _compiled.get(job.key)
    if found is None:
        if job.batch is None or job.settings is None:
            return "the job is empty"
        try:
            found = compile_batch(job.batch, job.settings)
        except Exception as error:  # any template or key: its error concerns this batch only
            found = f"the batch cannot be built: {_one_line(error)}"
        _compiled[job.key] = found
    return found


def _fill(compiled: CompiledBatch, delivery: Delivery, now: datetime) -> Envelope | str:
    try:
        return compiled.fill(delivery, now)
    except Exception as error:  # any values of the recipient: their error concerns this mail only
        return f"the mail cannot be built: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def become_worker(parent: int) -> None:
    """Ends when its parent ends, also by SIGKILL. Ctrl-C on a terminal reaches both; the parent handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before prctl
        os._exit(1)
