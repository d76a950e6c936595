"""Notes when each API key was last used and from where; written a page at a time, never for each call.

In: uses. Out: rows of api_keys, every FLUSH_SECONDS and at the end. A killed process loses its last interval.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import anyio
import structlog

from kannon.db.api_keys import KeyUse, note_uses
from kannon.db.pool import Database
from kannon.errors import Unavailable

FLUSH_SECONDS = 10.0
log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class KeyUsage:
    def __init__(self, db: Database, *, clock: Callable[[], datetime] = _now) -> None:
        self._db = db
        self._clock = clock
        self._uses: dict[str, KeyUse] = {}

    def used(self, key_id: str, peer: str) -> None:
        self._uses[key_id] = KeyUse(key_id, self._clock(), peer)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await anyio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            with anyio.move_on_after(1.0, shield=True):
                await self.flush()

    async def flush(self) -> None:
        """What cannot be written is kept for the next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await note_uses(self._db, list(uses.values()))
        except Unavailable as error:
            self._uses = uses | self._uses
            log.debug("cannot note the use of API keys; retrying", reason=str(error))
