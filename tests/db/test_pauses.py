"""What is paused is not claimed, whichever way it comes to be due; what is resumed is, without a row left behind."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from kannon.db.pauses import end_pause, finish_pauses, insert_pause, list_pauses
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.queue import (
    Deferral,
    claim_due,
    claim_to_validate,
    reclaim_sending,
    release_sending,
    return_throttled,
    settle_validated,
    settlement,
)
from kannon.mail.envelope import ThrottledDelivery
from kannon.mail.pauses import Scope
from tests.support.patience import patience
from tests.support.pool import insert_batch, states

BATCH = "msg_1@example.com"
SUBJECTS = {Scope.BATCH: BATCH, Scope.DOMAIN: "example.com", Scope.DESTINATION: "x.org"}
EVERY_SCOPE = pytest.mark.parametrize("scope", Scope)


async def resume(db: Database, scope: Scope, subject: str) -> int:
    await end_pause(db, scope, subject)
    return await finish_pauses(db)


async def claimed(db: Database) -> list[str]:
    return sorted(row.recipient.email for row in await claim_due(db, 100))


async def aside(db: Database) -> int:
    async with db.acquire() as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM sending_pool_emails WHERE next_attempt_at = 'infinity'"
        )
    return count


@EVERY_SCOPE
async def test_a_pause_holds_only_its_own_deliveries(db: Database, scope: Scope) -> None:
    await insert_batch(db, ["a@X.org", "b@x.org"], state="scheduled")
    await insert_batch(db, ["c@y.org", "d@sub.x.org"], domain="other.com", state="scheduled")
    await insert_pause(db, scope, SUBJECTS[scope])
    assert await claimed(db) == ["c@y.org", "d@sub.x.org"]
    assert await claimed(db) == []
    assert await resume(db, scope, SUBJECTS[scope]) == 2
    assert await claimed(db) == ["a@X.org", "b@x.org"]
    assert await list_pauses(db) == []


async def deferred(db: Database, delivery_id: int) -> None:
    async with settlement(db) as rows:
        await rows.reschedule([Deferral(delivery_id, 1, datetime.now(UTC), 451, "rcpt", "mx", "later")])


async def postponed(db: Database, delivery_id: int) -> None:
    await return_throttled(db, [ThrottledDelivery(delivery_id, 0, 0.0)])


async def released(db: Database, delivery_id: int) -> None:
    await release_sending(db, [delivery_id], delay=timedelta(0))


async def reclaimed(db: Database, delivery_id: int) -> None:
    assert await reclaim_sending(db, datetime.now(UTC) + timedelta(minutes=1)) == 1


@pytest.mark.parametrize("come_back", [deferred, postponed, released, reclaimed])
@EVERY_SCOPE
async def test_a_delivery_in_the_sender_is_held_when_it_returns(
    db: Database, scope: Scope, come_back: Callable[[Database, int], Awaitable[None]]
) -> None:
    [delivery_id] = await insert_batch(db, ["a@x.org"], state="scheduled")
    assert len(await claim_due(db, 10)) == 1
    await insert_pause(db, scope, SUBJECTS[scope])
    assert await states(db) == {delivery_id: "sending"}  # what a sender has goes its way
    await come_back(db, delivery_id)
    assert await claimed(db) == []
    assert await states(db) == {delivery_id: "scheduled"}
    await resume(db, scope, SUBJECTS[scope])
    assert await claimed(db) == ["a@x.org"]


@EVERY_SCOPE
async def test_mail_taken_while_paused_is_checked_and_held(db: Database, scope: Scope) -> None:
    await insert_pause(db, scope, SUBJECTS[scope])
    ids = await insert_batch(db, ["a@x.org"])
    assert len(await claim_to_validate(db, 10)) == 1
    await settle_validated(db, valid=ids, rejected=[])
    assert await claimed(db) == []
    await resume(db, scope, SUBJECTS[scope])
    assert await claimed(db) == ["a@x.org"]


async def test_many_held_deliveries_do_not_delay_another_domain(db: Database) -> None:
    await insert_batch(db, [f"a{n}@x.org" for n in range(350)], state="scheduled", due=timedelta(minutes=-1))
    await insert_batch(db, ["b@y.org"], name="2", state="scheduled")
    await insert_pause(db, Scope.DESTINATION, "x.org")
    assert await claimed(db) == ["b@y.org"]
    assert await aside(db) == 350


async def test_a_later_delivery_keeps_its_time(db: Database) -> None:
    await insert_batch(db, ["a@x.org"], state="scheduled", due=timedelta(hours=1))
    await insert_pause(db, Scope.BATCH, BATCH)
    assert await claimed(db) == []
    assert await resume(db, Scope.BATCH, BATCH) == 0
    async with db.acquire() as connection:
        due = await connection.fetchval("SELECT next_attempt_at FROM sending_pool_emails")
    assert due > datetime.now(UTC) + timedelta(minutes=59)


async def test_an_international_destination_is_known_in_both_spellings(db: Database) -> None:
    await insert_batch(db, ["a@bücher.example", "b@xn--bcher-kva.example"], state="scheduled")
    await insert_pause(db, Scope.DESTINATION, "xn--bcher-kva.example")
    assert await claimed(db) == []
    assert [pause.subject for pause in await list_pauses(db)] == ["xn--bcher-kva.example"]
    assert await resume(db, Scope.DESTINATION, "xn--bcher-kva.example") == 2


async def test_another_pause_goes_on_holding(db: Database) -> None:
    await insert_batch(db, ["a@x.org", "b@y.org"], state="scheduled")
    await insert_pause(db, Scope.DOMAIN, "example.com")
    await insert_pause(db, Scope.DESTINATION, "x.org")
    assert await claimed(db) == []
    await resume(db, Scope.DOMAIN, "example.com")
    assert await claimed(db) == ["b@y.org"]
    await resume(db, Scope.DESTINATION, "x.org")
    assert await claimed(db) == ["a@x.org"]


async def test_a_second_pause_changes_nothing_and_one_after_its_end_holds_anew(db: Database) -> None:
    first = await insert_pause(db, Scope.BATCH, BATCH)
    assert await insert_pause(db, Scope.BATCH, BATCH) == first
    await end_pause(db, Scope.BATCH, BATCH)  # and whoever did it went away before finishing
    again = await insert_pause(db, Scope.BATCH, BATCH)
    assert again.since > first.since
    await insert_batch(db, ["a@x.org"], state="scheduled")
    await finish_pauses(db)
    assert await claimed(db) == []


async def test_an_end_that_was_interrupted_can_be_finished_by_anyone(db: Database) -> None:
    await insert_batch(db, ["a@x.org"], state="scheduled")
    await insert_pause(db, Scope.BATCH, BATCH)
    assert await claimed(db) == []
    await end_pause(db, Scope.BATCH, BATCH)
    assert await finish_pauses(db) == 1
    assert await finish_pauses(db) == 0
    assert await claimed(db) == ["a@x.org"]


async def test_a_pause_does_not_count_against_the_retry_window(db: Database) -> None:
    await insert_batch(db, ["a@x.org"], state="scheduled", due=timedelta(hours=-3))
    await insert_pause(db, Scope.BATCH, BATCH)
    assert await claimed(db) == []
    async with db.acquire() as connection:
        await connection.execute("UPDATE pauses SET since = now() - interval '2 hours'")
    await resume(db, Scope.BATCH, BATCH)
    [row] = await claim_due(db, 10)
    used = datetime.now(UTC) - row.due_at
    assert timedelta(minutes=59) < used < timedelta(minutes=61)


async def test_an_end_waits_for_claims_that_still_see_the_pause(db: Database) -> None:
    """Else a claim could put rows aside after the release, for ever."""
    await insert_batch(db, ["a@x.org"], state="scheduled")
    await insert_pause(db, Scope.BATCH, BATCH)
    async with anyio.create_task_group() as group, db.transaction() as claim:
        assert [row["held"] async for row in queries.claim_due(claim, page=10, cursor="")] == [True]
        group.start_soon(resume, db, Scope.BATCH, BATCH)
        await somebody_waits_for_a_lock(db)
    assert await claimed(db) == ["a@x.org"]


async def test_a_claim_that_waits_for_the_end_of_a_pause_claims(db: Database) -> None:
    """Its snapshot is older than the end; what it locks is not."""
    await insert_batch(db, ["a@x.org"], state="scheduled")
    await insert_pause(db, Scope.BATCH, BATCH)
    got: list[str] = []

    async def claim() -> None:
        got.extend(await claimed(db))

    async with anyio.create_task_group() as group, db.transaction() as end:
        await queries.end_pause(end, scope="batch", subject=BATCH)
        group.start_soon(claim)
        await somebody_waits_for_a_lock(db)
    assert got == ["a@x.org"]


async def somebody_waits_for_a_lock(db: Database) -> None:
    with patience():
        async with db.acquire() as connection:
            while not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock')"
            ):
                await anyio.sleep(0.005)


async def test_scopes_are_those_of_the_database(db: Database) -> None:
    async with db.acquire() as connection:
        check = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'pauses_scope_check'"
        )
    assert all(f"'{scope}'" in check for scope in Scope)
    assert check.count("::text") == len(Scope)
