"""A throttled destination's mail waits in the pool, in order, and delays no other mail."""

from datetime import UTC, datetime

import pytest

from kannon.components.dispatcher import throttle
from kannon.components.dispatcher.throttle import AHEAD_SECONDS, RATE_MARGIN, ThrottledDestinations
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


async def test_the_mail_behind_waits_in_order_and_other_mail_does_not(db: Database) -> None:
    slow = await insert_batch(db, [f"a{n}@Slow.test" for n in range(60)], state="scheduled")
    assert len(await claim_due(db, 10)) == 10
    fast = await insert_batch(db, ["b@fast.test"], name="2", state="scheduled")
    other = await insert_batch(db, ["c@slow.test"], domain="other.com", state="scheduled")
    await ThrottledDestinations(db).on_throttled([ThrottledDelivery(each, 0, 6.0, 20.0) for each in slow[:10]])
    seconds = await waits(db, slow)
    assert all(5 < each < 6.1 for each in seconds[:10])
    wanted = [6.0 + place / (20.0 * RATE_MARGIN) for place in range(1, 51)]
    assert sorted(seconds[10:]) == pytest.approx(wanted, abs=1)
    assert {delivery.id for delivery in await claim_due(db, 10)} == {*fast, *other}


async def test_more_mail_than_a_window_is_delayed_whole(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "WINDOW", 20)
    slow = await insert_batch(db, [f"a{n}@slow.test" for n in range(70)], state="scheduled")
    [first] = await claim_due(db, 1)
    await ThrottledDestinations(db).on_throttled([ThrottledDelivery(first.id, 0, 5.0, 1.0)])
    assert await claim_due(db, 100) == []
    behind = [each for each in slow if each != first.id]
    longest = max(await waits(db, behind))
    assert longest == pytest.approx(5.0 + 70 / RATE_MARGIN, abs=2)


async def test_an_envelope_with_another_requeue_count_delays_no_mail(db: Database) -> None:
    ids = await insert_batch(db, ["a@slow.test", "b@slow.test"], state="scheduled")
    [first] = await claim_due(db, 1)
    await ThrottledDestinations(db).on_throttled([ThrottledDelivery(first.id, 3, 60.0, 1.0)])
    assert sorted((await states(db)).values()) == ["scheduled", "sending"]
    assert min(await waits(db, ids)) < 0


async def test_the_same_destination_is_looked_at_once_a_second(db: Database) -> None:
    throttled = ThrottledDestinations(db)
    await insert_batch(db, ["a@slow.test", "b@slow.test"], state="scheduled")
    first, second = await claim_due(db, 2)
    await throttled.on_throttled([ThrottledDelivery(first.id, 0, 5.0)])
    [late] = await insert_batch(db, ["c@slow.test"], name="2", state="scheduled")
    await throttled.on_throttled([ThrottledDelivery(second.id, 0, 5.0)])
    assert [delivery.id for delivery in await claim_due(db, 10)] == [late]


@pytest.mark.parametrize("retry_in", [5.0, 30.0])
async def test_mail_is_planned_a_minute_beyond_the_retry_time_of_the_sender(db: Database, retry_in: float) -> None:
    throttled = ThrottledDestinations(db)
    slow = await insert_batch(db, [f"a{n}@slow.test" for n in range(200)], state="scheduled")
    [first] = await claim_due(db, 1)
    await throttled.on_throttled([ThrottledDelivery(first.id, 0, retry_in, 1.0)])
    assert max(await waits(db, slow)) == pytest.approx(retry_in + AHEAD_SECONDS, abs=2)
