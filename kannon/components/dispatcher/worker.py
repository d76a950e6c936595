"""What runs in a build worker: a page of deliveries of one batch in, envelopes out. Pure functions over plain data.

The one thing kept between calls is the compiled batch, under a key that its sender makes new whenever its inputs may
have changed.
"""

import ctypes
import os
import signal
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from kannon.mail.batch import Batch, Delivery
from kannon.mail.build.template import BuildSettings, CompiledBatch, compile_batch
from kannon.mail.envelope import Envelope

COMPILED = 16  # batches kept compiled in a worker
PR_SET_PDEATHSIG = 1  # linux/prctl.h

_compiled: OrderedDict[str, CompiledBatch | str] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Page:
    """A batch and what building it needs; `key` names this state of both. `batch` None: nothing to build."""

    key: str
    batch: Batch | None
    settings: BuildSettings | None

    @classmethod
    def empty(cls) -> Self:
        return cls("", None, None)


def build_page(page: Page, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | str]:
    """In the order of `deliveries`; a string says why that one cannot be built. The mail's own faults never raise."""
    if not deliveries:
        return []
    compiled = _compile(page)
    if isinstance(compiled, str):
        return [compiled for _ in deliveries]
    return [_fill(compiled, delivery, now) for delivery in deliveries]


def _compile(page: Page) -> CompiledBatch | str:
    found = _compiled.get(page.key)
    if found is None:
        if page.batch is None or page.settings is None:
            return "nothing to build"
        try:
            found = compile_batch(page.batch, page.settings)
        except Exception as error:  # whatever a template or key does, it is this batch's fault alone
            found = f"the batch cannot be built: {_one_line(error)}"
        _compiled[page.key] = found
        while len(_compiled) > COMPILED:
            _compiled.popitem(last=False)
    return found


def _fill(compiled: CompiledBatch, delivery: Delivery, now: datetime) -> Envelope | str:
    try:
        return compiled.fill(delivery, now)
    except Exception as error:  # this mail's fault alone
        return f"the mail cannot be built: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def become_worker(parent: int) -> None:
    """Ends with its parent, also on kill -9, and leaves the terminal's Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
