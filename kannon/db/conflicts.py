"""Repeats a transaction that PostgreSQL ended in favour of another one (deadlock, serialization failure).

In: a function that is one transaction, or several that may each be repeated. Out: its result. After ATTEMPTS the last
Conflict leaves as it is: for the caller it is an Unavailable like any other.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import structlog

from kannon.errors import Conflict

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.02  # doubles; jitter keeps two that met from meeting again
P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger(__name__)


def repeat_on_conflict(function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Decorates a function whose effects are all in the database, or harmless when they happen twice."""

    @wraps(function)
    async def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, ATTEMPTS):
            try:
                return await function(*args, **kwargs)
            except Conflict as conflict:
                log.info("transaction repeated", what=function.__name__, attempt=attempt, reason=str(conflict))
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**attempt * random.random())  # noqa: S311  # only jitter
        return await function(*args, **kwargs)

    return repeated
