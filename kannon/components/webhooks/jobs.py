"""What an endpoint hears beside the events of the statistics: that a batch is finished, that published records are
broken. And the cleaning of the outbox.

Each runs in every process that has the component; the database gives each batch and each check to one of them. A job
that fails because PostgreSQL is away is repeated.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import structlog

from kannon.db import webhook_jobs
from kannon.db.dkim_keys import list_dkim_keys
from kannon.db.pool import Database
from kannon.db.webhook_outbox import clean_outbox
from kannon.errors import Unavailable
from kannon.mail.dns.dkim_keys import KeyState
from kannon.mail.dns.records import Kind, Record, ServerNames, check_record, dkim_record, records_for

log = structlog.get_logger()

BATCH_SECONDS = 1.0
RECORDS_SECONDS = 60.0
CLEAN_SECONDS = 600.0

Lookup = Callable[[str, Kind], Awaitable[list[str]]]
"""Raises Unavailable."""


async def repeat(seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    """Until cancelled."""
    while True:
        try:
            await job()
        except Unavailable as error:
            log.debug("cannot do a job of the webhooks; retrying", reason=str(error))
        await anyio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class FinishedBatches:
    db: Database
    queued: Callable[[], None]

    async def __call__(self) -> None:
        if count := await webhook_jobs.queue_finished_batches(self.db):
            log.info("batches finished", count=count)
            self.queued()


@dataclass(frozen=True, slots=True)
class RecordCheckJob:
    """Each domain once a day. An event, and a line in the log, when a record breaks or another one does; while the same
    ones stay broken, the log says so each day. A new domain is checked each hour, in silence, until its records were
    right once or should have been."""

    db: Database
    look_up: Lookup
    servers: ServerNames
    queued: Callable[[], None]

    async def __call__(self) -> None:
        while due := await webhook_jobs.lease_record_checks(self.db):
            for each in due:
                await self.check(each)

    async def check(self, due: webhook_jobs.DueCheck) -> None:
        """Raises Unavailable where PostgreSQL is away."""
        domain = due.domain
        keys = [k for k in await list_dkim_keys(self.db, domain) if k.state is KeyState.ACTIVE]
        records = records_for(
            domain, [dkim_record(domain, k.selector, k.algorithm, k.public_key) for k in keys], self.servers
        )
        try:
            broken = [row for record in records if (row := await self._broken(record))]
        except Unavailable as error:
            log.info("cannot check the DNS records of a domain; retrying", domain=domain, reason=str(error))
            await webhook_jobs.retry_record_check(self.db, domain)
            return
        if broken and due.new:
            await webhook_jobs.retry_record_check(self.db, domain)
            return
        names = sorted(f"{row['purpose']} {row['name']}" for row in broken)
        event = None
        if broken:
            log.warning("DNS records of a domain are broken: see kannon domains dns", domain=domain, records=names)
            if set(names) - set(due.broken):
                event = webhook_jobs.records_event(domain, datetime.now(UTC), broken)
        if await webhook_jobs.update_record_check(self.db, domain, names, event):
            self.queued()

    async def _broken(self, record: Record) -> dict[str, str] | None:
        result = check_record(record, await self.look_up(record.name, record.kind))
        if result.good:
            return None
        return {
            "purpose": record.purpose.value,
            "name": record.name,
            "kind": record.kind.value,
            "problem": result.problem,
            "hint": result.hint,
        }


@dataclass(frozen=True, slots=True)
class CleanOutbox:
    db: Database
    gave_up: Callable[[int], None]

    async def __call__(self) -> None:
        for endpoint_id, count in (await clean_outbox(self.db)).items():
            log.warning("webhook events given up: their endpoint is off", endpoint=endpoint_id, events=count)
            self.gave_up(count)
