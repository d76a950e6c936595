"""What is cancelled is not claimed any more; its end is told before its row is deleted."""

import pytest

from kannon.db.cancellations import Marked, cancel_batch, cancel_delivery, ending
from kannon.db.pauses import end_pause, finish_pauses, insert_pause
from kannon.db.pool import Database
from kannon.db.queue import claim_due, claim_to_validate, settle_validated
from kannon.errors import Unavailable
from kannon.mail.pauses import Scope
from tests.support.pool import insert_batch, states

BATCH = "msg_1@example.com"


async def end(db: Database) -> list[int]:
    async with ending(db, page=100) as rows:
        return [row.id for row in rows]


@pytest.mark.parametrize("state", ["to_validate", "scheduled"])
async def test_a_cancelled_delivery_that_is_unclaimed_stays_unclaimed_and_ends(db: Database, state: str) -> None:
    ids = await insert_batch(db, ["a@x.org", "b@x.org"], state=state)
    [other] = await insert_batch(db, ["c@x.org"], name="2", state=state)
    assert await cancel_batch(db, BATCH) == Marked(2, 0)
    assert await cancel_batch(db, BATCH) == Marked(0, 0)
    claimed = [row.id for row in await claim_to_validate(db, 10)] + [row.id for row in await claim_due(db, 10)]
    assert claimed == [other]
    assert await end(db) == ids
    assert list(await states(db)) == [other]
    assert await cancel_batch(db, "msg_absent@example.com") is None


async def test_a_delivery_in_the_validator_is_cancelled_when_it_returns(db: Database) -> None:
    ids = await insert_batch(db, ["a@x.org"])
    await claim_to_validate(db, 10)
    assert await cancel_batch(db, BATCH) == Marked(1, 0)
    assert await end(db) == []
    await settle_validated(db, valid=ids, rejected=[])
    assert await claim_due(db, 10) == []
    assert await end(db) == ids


async def test_an_end_that_could_not_be_told_leaves_the_row(db: Database) -> None:
    ids = await insert_batch(db, ["a@x.org"], state="scheduled")
    assert await cancel_delivery(db, ids[0]) == Marked(1, 0)
    with pytest.raises(Unavailable):
        async with ending(db, page=100):
            raise Unavailable("NATS: away")
    assert await states(db) == {ids[0]: "scheduled"}
    assert await end(db) == ids


async def test_two_that_end_at_once_share_no_row(db: Database) -> None:
    ids = await insert_batch(db, ["a@x.org", "b@x.org"], state="scheduled")
    await cancel_batch(db, BATCH)
    async with ending(db, page=1) as first, ending(db, page=10) as second:
        assert [row.id for row in first] + [row.id for row in second] == ids
    assert await states(db) == {}


async def test_the_end_of_a_pause_does_not_release_cancelled_deliveries(db: Database) -> None:
    await insert_batch(db, ["a@x.org"], state="scheduled")
    await insert_pause(db, Scope.BATCH, BATCH)
    await cancel_batch(db, BATCH)
    await end_pause(db, Scope.BATCH, BATCH)
    assert await finish_pauses(db) == 0
    assert await claim_due(db, 10) == []
