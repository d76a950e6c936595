"""What the api no longer needs: idempotency keys after their day, batches and transient templates past their retention.

In: a retention. Out: fewer rows. Several processes may keep the same house.
"""

from datetime import UTC, datetime, timedelta

import anyio
import structlog

from kannon.db import idempotency, retention
from kannon.db.pool import Database
from kannon.errors import Unavailable

EVERY = timedelta(minutes=10)
log = structlog.get_logger(__name__)


class Retention:
    """`run` is the task."""

    def __init__(self, db: Database, kept: timedelta) -> None:
        self._db = db
        self._kept = kept

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.keep_house(datetime.now(UTC))
            except Unavailable as error:
                log.debug("house not kept", reason=str(error))
            await anyio.sleep(EVERY.total_seconds())

    async def keep_house(self, now: datetime) -> None:
        """Raises Unavailable."""
        await idempotency.delete_expired(self._db)
        batches = await retention.delete_old_batches(self._db, now - self._kept)
        templates = await retention.delete_old_templates(self._db, now - self._kept)
        if batches or templates:
            log.info("past their retention deleted", batches=batches, templates=templates)
