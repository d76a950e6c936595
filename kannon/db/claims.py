"""Claims that a cancellation does not leave behind.

In: a call that claims rows and commits, and a call that returns claimed rows to the queue. Out: the claimed rows.
A call that is cut between its commit and its answer would leave its rows to their lease, as a crash there does: so a
cancelled claim finishes, and its rows go back. Where returning them fails, the end of their lease does it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import anyio
import anyio.lowlevel
import structlog

from kannon.errors import KannonError, Unavailable

CLAIM_SECONDS = 15.0  # half of the time that a stop may take
RELEASE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Claimed(Protocol):
    @property
    def id(self) -> int: ...


Row = TypeVar("Row", bound=Claimed)
Release = Callable[[Sequence[int]], Awaitable[None]]


async def claim_or_release(claim: Callable[[], Awaitable[list[Row]]], release: Release) -> list[Row]:
    """Raises Unavailable."""
    try:
        with anyio.fail_after(CLAIM_SECONDS, shield=True):
            rows = await claim()
    except TimeoutError:
        raise Unavailable(f"PostgreSQL: a claim took longer than {CLAIM_SECONDS:g} s") from None
    try:
        await anyio.lowlevel.checkpoint_if_cancelled()
    except anyio.get_cancelled_exc_class():
        await release_claimed(release, [row.id for row in rows])
        raise
    return rows


async def release_claimed(release: Release, ids: Sequence[int]) -> bool:
    """Returns rows to the queue, also while cancelled. False where they stay claimed; never raises."""
    if not ids:
        return True
    try:
        with anyio.fail_after(RELEASE_SECONDS, shield=True):
            await release(ids)
    except (KannonError, TimeoutError) as error:
        why = str(error) or f"took longer than {RELEASE_SECONDS:g} s"
        log.warning("claimed deliveries not released; their lease ends the claim", deliveries=len(ids), why=why)
        return False
    return True
