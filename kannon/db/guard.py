"""The guard: pauses batches by their counts, in the transaction that counts them; and the overrides of a domain."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pauses import pause_in
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.guard import BatchOutcomes, GuardOverrides, GuardRule, Trip
from kannon.mail.pauses import Scope

if TYPE_CHECKING:
    from kannon.db.pool import Connection


@dataclass(frozen=True, slots=True)
class PausedBatch:
    """`queued`: how many webhook endpoints learn of it."""

    message_id: str
    domain: str
    trip: Trip
    queued: int


async def pause_batches(connection: "Connection", watched: Iterable[Any], rule: GuardRule) -> list[PausedBatch]:
    """`watched` as insert_events returns it. A batch is paused once: its mark is in the same transaction."""
    paused = []
    for message_id, domain, outcomes, delivered, dead, complaints, *overrides in watched:
        trip = rule.override(GuardOverrides(*overrides)).judge(BatchOutcomes(outcomes, delivered, dead, complaints))
        if trip is None:
            continue
        await queries.mark_tripped(connection, message_id=message_id)
        _, queued = await pause_in(connection, Scope.BATCH, message_id, reason=trip.text)
        paused.append(PausedBatch(message_id, domain, trip, queued))
    return paused


async def find_guard(db: Database, domain: str) -> GuardOverrides | None:
    """None where there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.find_guard(connection, domain=domain)
    return None if row is None else GuardOverrides(**row)


@repeat_on_conflict
async def update_guard(db: Database, domain: str, overrides: GuardOverrides) -> GuardOverrides | None:
    """None where there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.update_guard(
            connection,
            domain=domain,
            enabled=overrides.enabled,
            dead_percent=overrides.dead_percent,
            complaint_percent=overrides.complaint_percent,
        )
    return None if row is None else GuardOverrides(**row)
