"""Health: the failing checks by name, open to anyone.

In: checks by name (PostgreSQL, NATS, each component), passed in. Out: the checks that fail, without their reasons. An
answer holds for a second, so that a flood of calls is not a flood of queries.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

import anyio
import structlog

from kannon.errors import KannonError
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest, HZResponse

CHECK_SECONDS = 2.0
"""A check that takes longer fails."""
TTL_SECONDS = 1.0

Check = Callable[[], Awaitable[None]]
"""Raises when the check fails."""

log = structlog.get_logger(__name__)


async def failing(checks: Mapping[str, Check]) -> dict[str, str]:
    """Runs all checks concurrently; the names of those that fail, with a text that shows no reason."""
    result: dict[str, str] = {}

    async def run(name: str, check: Check) -> None:
        try:
            with anyio.fail_after(CHECK_SECONDS):
                await check()
        except TimeoutError:
            result[name] = "does not answer"
        except Exception as error:
            log.warning("check failed", check=name, reason=str(error), exc_info=not isinstance(error, KannonError))
            result[name] = "unavailable"

    async with anyio.create_task_group() as group:
        for name, check in checks.items():
            group.start_soon(run, name, check)
    return dict(sorted(result.items()))


class HZMethods:
    """pkg.kannon.admin.apiv1.HZService. One call at a time runs the checks; the others wait for its answer."""

    def __init__(self, checks: Mapping[str, Check], clock: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._clock = clock
        self._lock = anyio.Lock()
        self._failing: dict[str, str] = {}
        self._expires = float("-inf")

    async def HZ(self, caller: None, request: HZRequest) -> HZResponse:
        async with self._lock:
            if self._clock() >= self._expires:
                self._failing = await failing(self._checks)
                self._expires = self._clock() + TTL_SECONDS
        return HZResponse(result=self._failing)
