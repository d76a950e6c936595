"""Repeats a transaction that PostgreSQL aborted in favour of another one (deadlock, serialization failure).

In: a function that is one transaction, or several that may each be repeated. Out: its result. After ATTEMPTS it raises
the last Conflict, which is an Unavailable.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import structlog

from kannon.errors import Conflict

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.02  # doubles, with jitter, so that two transactions do not collide again
P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger(__name__)


def repeat_on_conflict(function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """For a function whose effects are all in the database, or may happen twice."""

    @wraps(function)
    async def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, ATTEMPTS):
            try:
                return await function(*args, **kwargs)
            except Conflict as conflict:
                log.info("transaction repeated", function=function.__name__, attempt=attempt, why=str(conflict))
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**attempt * random.random())  # noqa: S311  # only jitter
        return await function(*args, **kwargs)

    return repeated
