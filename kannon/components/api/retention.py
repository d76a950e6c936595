"""Deletes what the API no longer needs: idempotency keys after a day, logins, old batches, transient templates, and
entries of the audit log after a year.

Several processes may do this at the same time.
"""

from datetime import UTC, datetime, timedelta

import anyio
import structlog

from kannon.db import audit, idempotency, logins
from kannon.db.pool import Database
from kannon.db.retention import delete_old_batches, delete_old_templates
from kannon.errors import Unavailable

INTERVAL_SECONDS = 600.0
AUDIT_KEPT = timedelta(days=365)
log = structlog.get_logger(__name__)


class Retention:
    """`run` is the task; `retention` applies to batches and templates."""

    def __init__(self, db: Database, retention: timedelta) -> None:
        self._db = db
        self._retention = retention

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self.delete_expired(datetime.now(UTC))
            except Unavailable as error:
                log.debug("cannot delete expired rows; retrying", reason=str(error))
            await anyio.sleep(INTERVAL_SECONDS)

    async def delete_expired(self, now: datetime) -> None:
        """Raises Unavailable."""
        await idempotency.delete_expired(self._db)
        await logins.delete_expired_logins(self._db)
        await audit.delete_old_entries(self._db, now - AUDIT_KEPT)
        batches = await delete_old_batches(self._db, now - self._retention)
        templates = await delete_old_templates(self._db, now - self._retention)
        if batches or templates:
            log.info("expired rows deleted", batches=batches, templates=templates)
