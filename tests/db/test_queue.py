"""Claims and settlements of the pool."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from kannon.db.pool import Database
from kannon.db.queue import (
    Deferral,
    Place,
    ThrottledDestination,
    claim_due,
    claim_to_validate,
    delay_throttled,
    find_delivery,
    reclaim_sending,
    reclaim_validating,
    release_sending,
    return_throttled,
    settle_validated,
    settlement,
)
from kannon.mail.envelope import ThrottledDelivery
from tests.support.patience import patience
from tests.support.pool import insert_batch, states

ADDRESSES = [f"a{n}@example.org" for n in range(10)]


async def test_a_delivery_goes_from_state_to_state(db: Database) -> None:
    ids = await insert_batch(db, ADDRESSES[:3])
    claimed = await claim_to_validate(db, 100)
    assert sorted(row.id for row in claimed) == ids
    assert set((await states(db)).values()) == {"validating"}
    await settle_validated(db, valid=ids[:2], rejected=ids[2:])
    assert await states(db) == {ids[0]: "scheduled", ids[1]: "scheduled"}
    due = await claim_due(db, 100)
    assert [(d.id, d.attempt, d.recipient.email) for d in due] == [
        (ids[0], 1, "a0@example.org"),
        (ids[1], 1, "a1@example.org"),
    ]
    assert set((await states(db)).values()) == {"sending"}
    async with settlement(db) as rows:
        found = await rows.find([*ids, 999_999])
        assert sorted(found) == ids[:2]
        await rows.delete(ids[:1])
        later = datetime.now(UTC) - timedelta(seconds=1)
        await rows.reschedule([Deferral(ids[1], 1, later, 451, "rcpt", "mx", "try later")])
    assert await states(db) == {ids[1]: "scheduled"}
    [again] = await claim_due(db, 100)
    assert (again.id, again.attempt, again.secret) == (ids[1], 2, due[1].secret)


async def test_a_delivery_that_is_not_due_is_not_claimed(db: Database) -> None:
    await insert_batch(db, ADDRESSES, state="scheduled", due=timedelta(hours=1))
    assert await claim_due(db, 100) == []


async def test_one_tenants_many_do_not_starve_another_tenants_few(db: Database) -> None:
    await insert_batch(db, [f"a{n}@x.org" for n in range(2000)], domain="many.com", state="scheduled")
    await insert_batch(db, ADDRESSES, domain="few.com", state="scheduled")
    await insert_batch(db, ADDRESSES[:1], domain="one.com", state="scheduled")
    page = Counter(d.domain for d in await claim_due(db, 100))
    assert page == {"many.com": 89, "few.com": 10, "one.com": 1}
    await insert_batch(db, [f"b{n}@x.org" for n in range(300)], domain="many.com", name="2")
    await insert_batch(db, ADDRESSES, domain="few.com", name="2")
    fresh = Counter(d.domain for d in await claim_to_validate(db, 30))
    assert fresh == {"many.com": 20, "few.com": 10}


async def test_concurrent_claims_never_share_a_row(db: Database) -> None:
    ids = await insert_batch(db, [f"a{n}@x.org" for n in range(400)], state="scheduled")
    claimed: list[int] = []

    async def claim() -> None:
        while page := await claim_due(db, 50):
            claimed.extend(d.id for d in page)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(claim)
    assert sorted(claimed) == ids


async def test_claims_that_outlive_their_lease_go_back(db: Database) -> None:
    ids = await insert_batch(db, ADDRESSES[:2], state="sending")
    assert await reclaim_sending(db, datetime.now(UTC) - timedelta(minutes=1)) == 0
    assert await reclaim_sending(db, datetime.now(UTC) + timedelta(minutes=1)) == 2
    await claim_due(db, 10)
    await release_sending(db, ids, delay=timedelta(hours=1))
    assert await claim_due(db, 10) == []
    await insert_batch(db, ADDRESSES[:1], name="2", state="validating")
    assert await reclaim_validating(db, timedelta(minutes=1)) == 0
    assert await reclaim_validating(db, timedelta(0)) == 1


async def test_a_delivery_is_found_while_it_is_in_flight(db: Database) -> None:
    [delivery] = await insert_batch(db, ["a@example.org"])
    found = await find_delivery(db, delivery)
    assert found is not None
    assert (found.domain, found.message_id, found.email) == ("example.com", "msg_1@example.com", "a@example.org")
    assert await find_delivery(db, delivery + 1) is None
    assert await find_delivery(db, 0) is None


async def test_a_postponed_delivery_waits_without_an_attempt_and_gets_another_envelope(db: Database) -> None:
    first, second = await insert_batch(db, ADDRESSES[:2], state="scheduled")
    assert {d.requeues for d in await claim_due(db, 10)} == {0}
    # The second one has another requeue count: it is another envelope, which is not the one in flight.
    await return_throttled(db, [ThrottledDelivery(first, 0, 0.0), ThrottledDelivery(second, 7, 0.0)])
    assert await states(db) == {first: "scheduled", second: "sending"}
    [again] = await claim_due(db, 10)
    assert (again.id, again.attempt, again.requeues) == (first, 1, 1)
    await return_throttled(db, [ThrottledDelivery(first, 1, 3600.0)])
    assert await claim_due(db, 10) == []


async def test_the_reason_of_a_throttled_delivery_is_that_of_the_mail_behind_it_too(db: Database) -> None:
    addresses = ["a@slow.test", "b@slow.test", "c@other.test"]
    first, *_ = await insert_batch(db, addresses, state="scheduled")
    await claim_due(db, 1)
    await return_throttled(db, [ThrottledDelivery(first, 0, 60.0, reason="warm-up: enough for today")])
    place = Place("example.com", "slow.test")
    reasons = {}
    for reason in ("warm-up: enough for today", ""):
        throttled = ThrottledDestination(place, seconds=0.0, rate=1e9, spread=0.0, reason=reason)
        assert await delay_throttled(db, [throttled], behind=0, window=100) == 1
        async with db.acquire() as connection:
            rows = await connection.fetch("SELECT email, last_text FROM sending_pool_emails ORDER BY id")
        reasons[reason] = [row["last_text"] for row in rows]
    assert reasons["warm-up: enough for today"] == ["warm-up: enough for today"] * 2 + [""]
    assert reasons[""] == ["warm-up: enough for today", "throttled: its destination has no free connection", ""]


@pytest.mark.parametrize("state", ["to_validate", "scheduled"])
async def test_a_batch_that_comes_into_an_empty_table_is_claimed_at_once(db: Database, state: str) -> None:
    """PostgreSQL's statistics still say that the table is empty; a page takes milliseconds all the same."""
    ids = await insert_batch(db, [f"a{n}@slow.test" for n in range(30_000)], state=state)
    with patience():  # milliseconds, if the plan is right
        if state == "to_validate":
            assert len(await claim_to_validate(db, 500)) == 500
        else:
            assert len(await claim_due(db, 500)) == 500
            crowd = ThrottledDestination(Place("example.com", "slow.test"), seconds=5.0, rate=20.0, spread=10.0)
            assert await delay_throttled(db, [crowd], behind=0, window=10_000) == 10_000
    assert len(ids) == 30_000
