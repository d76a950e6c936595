"""What webhooks tell beside the events of the statistics: that a batch is finished, and that a domain's published
records are broken. Several processes may call these: each batch and each check belongs to one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.webhooks import queue_event
from kannon.mail.webhook import WebhookEvent, WebhookType

CHECK_EVERY = timedelta(days=1)
CHECK_AGAIN = timedelta(hours=1)
"""After a check that found no name server, and while a new domain lacks records."""
FIRST_CHECK = timedelta(minutes=10)
NEW_FOR = timedelta(hours=24)
"""For so long after its creation a domain may be without its records: they are being published."""
_CHECK_LEASE = timedelta(minutes=10)
_PATIENCE = timedelta(hours=1)
_PAGE = 100
_COUNTS = ("domain", "message_id", "tag", "delivered", "bounced", "failed", "rejected")


@repeat_on_conflict
async def queue_finished_batches(db: Database) -> int:
    """Marks finished batches and queues their events in one transaction. Returns their number."""
    async with db.transaction() as connection:
        rows = [row async for row in queries.list_finished_batches(connection, page=_PAGE, patience=_PATIENCE)]
        for row in rows:
            data = {name: row[name] for name in _COUNTS}
            event = WebhookEvent(f"{row['message_id']}.finished", WebhookType.BATCH_FINISHED, row["at"], data)
            await queue_event(connection, row["domain"], event)
    return len(rows)


@dataclass(frozen=True, slots=True)
class DueCheck:
    """`broken`: the names of the records that were broken the last time. `new`: the records of the domain have never
    been right, and it is younger than NEW_FOR."""

    domain: str
    broken: tuple[str, ...]
    new: bool


@repeat_on_conflict
async def lease_record_checks(db: Database, page: int = 10) -> list[DueCheck]:
    """A domain that is not updated comes again in ten minutes."""
    async with db.acquire() as connection:
        rows = queries.lease_record_checks(
            connection, page=page, lease=_CHECK_LEASE, first=FIRST_CHECK, new_for=NEW_FOR
        )
        return [DueCheck(row["domain"], tuple(row["broken"]), row["new"]) async for row in rows]


@repeat_on_conflict
async def retry_record_check(db: Database, domain: str) -> None:
    """To CHECK_AGAIN; what is known of the records stays."""
    async with db.acquire() as connection:
        await queries.retry_record_check(connection, domain=domain, next=CHECK_AGAIN)


@repeat_on_conflict
async def update_record_check(db: Database, domain: str, broken: Sequence[str], event: WebhookEvent | None) -> int:
    """The next check is CHECK_EVERY later. Returns how many endpoints get the event."""
    async with db.transaction() as connection:
        await queries.update_record_check(connection, domain=domain, broken=list(broken), next=CHECK_EVERY)
        return 0 if event is None else await queue_event(connection, domain, event)


def records_event(domain: str, at: datetime, records: Sequence[dict[str, str]]) -> WebhookEvent:
    return WebhookEvent(
        f"{domain}.{at:%Y%m%dT%H%M%S}.records_broken",
        WebhookType.RECORDS_BROKEN,
        at,
        {"domain": domain, "records": list(records)},
    )
