"""The code of a build worker: renders and signs deliveries of several batches. Pure functions over plain data.

It stands apart from the dispatcher, whose imports would double the memory of each worker.

In: BuildJobs, and the sources of templates that the worker may lack. Out: envelopes. Between calls a worker keeps
compiled templates only, by the key of their source; when it lacks one it builds nothing and says which.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from cachetools import LRUCache

from kannon.mail.batch import Content, Delivery
from kannon.mail.build.raw import RawTemplate
from kannon.mail.build.template import BuildSettings, CompiledTemplate
from kannon.mail.envelope import Envelope

P = ParamSpec("P")
T = TypeVar("T")
COMPILED_BYTES = 64 << 20  # of compiled templates, of one worker
OVERHEAD_BYTES = 16 << 10  # of a compiled template, beside its texts
PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """All that a compiled template depends on."""

    domain: str
    content: Content
    settings: BuildSettings


@dataclass(frozen=True, slots=True)
class BuildJob:
    """Deliveries of one batch. `template`: the key of its TemplateSource."""

    template: str
    global_fields: Mapping[str, Any]
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class MissingTemplates:
    """The worker lacks some of the templates. Call it again with the sources of all."""


Compiled = CompiledTemplate | RawTemplate | str
"""A string is the reason why the template cannot be compiled."""


def _compiled_bytes(compiled: Compiled) -> int:
    return min(COMPILED_BYTES, OVERHEAD_BYTES + (0 if isinstance(compiled, str) else compiled.bytes))


_compiled: LRUCache[str, Compiled] = LRUCache(COMPILED_BYTES, getsizeof=_compiled_bytes)


def build(
    jobs: Sequence[BuildJob], sources: Mapping[str, TemplateSource | str], now: datetime
) -> list[Envelope | str] | MissingTemplates:
    """In the order of the jobs and their deliveries; a string is the reason why a mail cannot be built. No fault of a
    template or a mail raises."""
    # Held here: a page may have more templates than the cache keeps.
    templates: dict[str, Compiled] = {}
    for job in jobs:
        if job.template not in templates:
            found = _compiled.get(job.template)
            if found is None:
                if job.template not in sources:
                    return MissingTemplates()
                found = _compiled[job.template] = _compile(sources[job.template])
            templates[job.template] = found
    return [mail for job in jobs for mail in _fill_all(templates[job.template], job, now)]


def _compile(source: TemplateSource | str) -> Compiled:
    """A string is the reason why there is no source."""
    if isinstance(source, str):
        return source
    try:
        if source.content.raw is not None:
            return RawTemplate(source.domain, source.content, source.settings)
        return CompiledTemplate(source.domain, source.content, source.settings)
    except Exception as error:  # any template or key: its error concerns its batches only
        return f"the batch cannot be built: {_one_line(error)}"


def _fill_all(template: Compiled, job: BuildJob, now: datetime) -> list[Envelope | str]:
    if isinstance(template, str):
        return [template] * len(job.deliveries)
    if isinstance(template, RawTemplate):
        return [_try(template.fill, each, job.global_fields, now) for each in job.deliveries]
    texts = [_try(template.render, each, job.global_fields) for each in job.deliveries]
    return [
        text if isinstance(text, str) else _try(template.sign, each, text, now)
        for each, text in zip(job.deliveries, texts, strict=True)
    ]


def _try(make: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T | str:
    try:
        return make(*arguments, **_)
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
