"""What a destination without room does to the mail behind it: it waits in the pool, in order, and in nobody's way."""

from datetime import UTC, datetime

import pytest

from kannon.components.dispatcher import throttle
from kannon.components.dispatcher.throttle import AHEAD, FIRST_SECONDS, LONGEST_SECONDS, ThrottledDestinations, _again
from kannon.db.pool import Database
from kannon.db.queue import claim_due
from kannon.mail.envelope import ThrottledDelivery
from tests.support.pool import insert_batch, states


async def waits(db: Database, ids: list[int]) -> list[float]:
    """Seconds until each is due."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT id, next_attempt_at FROM sending_pool_emails WHERE id = ANY($1::bigint[])", ids
        )
    now = datetime.now(UTC)
    due = {row["id"]: (row["next_attempt_at"] - now).total_seconds() for row in rows}
    return [due[each] for each in ids]


async def test_the_mail_behind_it_waits_in_order_and_other_mail_does_not(db: Database) -> None:
    slow = await insert_batch(db, [f"a{n}@Slow.test" for n in range(60)], state="scheduled")
    assert len(await claim_due(db, 10)) == 10
    fast = await insert_batch(db, ["b@fast.test"], name="2", state="scheduled")
    other = await insert_batch(db, ["c@slow.test"], domain="other.com", state="scheduled")
    await ThrottledDestinations(db).postpone([ThrottledDelivery(each, 0, 6.0, 20.0) for each in slow[:10]])
    seconds = await waits(db, slow)
    assert all(5 < each < 6.1 for each in seconds[:10])
    wanted = [6.0 + place / (20.0 * AHEAD) for place in range(1, 51)]
    assert sorted(seconds[10:]) == pytest.approx(wanted, abs=1)
    assert {delivery.id for delivery in await claim_due(db, 10)} == {*fast, *other}


async def test_a_crowd_larger_than_a_window_is_delayed_whole(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "WINDOW", 20)
    slow = await insert_batch(db, [f"a{n}@slow.test" for n in range(70)], state="scheduled")
    [first] = await claim_due(db, 1)
    await ThrottledDestinations(db).postpone([ThrottledDelivery(first.id, 0, 5.0, 1.0)])
    assert await claim_due(db, 100) == []
    behind = [each for each in slow if each != first.id]
    longest = max(await waits(db, behind))
    assert longest == pytest.approx(5.0 + FIRST_SECONDS, abs=1)  # it may well be faster by then


async def test_an_envelope_of_another_turn_delays_nobody(db: Database) -> None:
    ids = await insert_batch(db, ["a@slow.test", "b@slow.test"], state="scheduled")
    [first] = await claim_due(db, 1)
    await ThrottledDestinations(db).postpone([ThrottledDelivery(first.id, 3, 60.0, 1.0)])
    assert sorted((await states(db)).values()) == ["scheduled", "sending"]
    assert min(await waits(db, ids)) < 0


async def test_the_same_crowd_is_not_looked_at_all_the_time(db: Database) -> None:
    crowds = ThrottledDestinations(db)
    await insert_batch(db, ["a@slow.test", "b@slow.test"], state="scheduled")
    first, second = await claim_due(db, 2)
    await crowds.postpone([ThrottledDelivery(first.id, 0, 5.0)])
    [late] = await insert_batch(db, ["c@slow.test"], name="2", state="scheduled")
    await crowds.postpone([ThrottledDelivery(second.id, 0, 5.0)])
    assert [delivery.id for delivery in await claim_due(db, 10)] == [late]


def test_a_crowd_that_comes_back_too_soon_is_spread_further_each_time() -> None:
    seen = _again(None, 0.0, 5.0)
    assert (seen.spread, seen.until) == (FIRST_SECONDS, 5.0 + FIRST_SECONDS)
    assert _again(seen, 7.0, 5.0).until == seen.until  # the same throttle, still under way
    spreads = []
    for _ in range(6):
        seen = _again(seen, seen.until, 5.0)
        spreads.append(seen.spread)
    assert spreads == [20.0, 40.0, 80.0, 160.0, LONGEST_SECONDS, LONGEST_SECONDS]
    assert _again(seen, seen.until + seen.spread, 5.0).spread == FIRST_SECONDS  # long gone
