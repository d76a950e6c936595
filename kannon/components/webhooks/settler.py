"""Commits the results of requests, of all endpoints together.

In: one result after another. Out: one transaction for those of GATHER_SECONDS. `settle` returns once its result is
committed. While PostgreSQL is away results wait here: what was posted is not posted again when it is back.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from kannon.db.webhook_outbox import RequestResult
from kannon.errors import Unavailable
from kannon.mail.webhook import Endpoint

log = structlog.get_logger()

GATHER_SECONDS = 0.02
_PAGE = 500
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 5.0

Commit = Callable[[Sequence[RequestResult]], Awaitable[list[Endpoint]]]


class Settler:
    """`run` is the task."""

    def __init__(self, commit: Commit, switched_off: Callable[[Endpoint], None]) -> None:
        self._commit = commit
        self._switched_off = switched_off
        self._waiting: list[tuple[RequestResult, anyio.Event]] = []
        self._wake = anyio.Event()

    async def settle(self, result: RequestResult) -> None:
        settled = anyio.Event()
        self._waiting.append((result, settled))
        self._wake.set()
        await settled.wait()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._waiting:
                self._wake = anyio.Event()
                await self._wake.wait()
            await anyio.sleep(GATHER_SECONDS)
            page, self._waiting = self._waiting[:_PAGE], self._waiting[_PAGE:]
            for endpoint in await self._commit_page([result for result, _ in page]):
                self._switched_off(endpoint)
            for _, settled in page:
                settled.set()

    async def _commit_page(self, page: Sequence[RequestResult]) -> list[Endpoint]:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._commit(page)
            except Unavailable as error:
                log.warning("cannot store the results of webhooks; retrying", requests=len(page), reason=str(error))
                await anyio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE)
