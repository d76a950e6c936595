"""PostgreSQL's clock jumps: mail is due as if it had not, and no lease ends before its time."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import structlog.testing

from kannon.components.dispatcher.clock import PoolClock
from kannon.db.pool import Database
from kannon.mail.event import EventType
from tests.components.dispatcher.test_outcomes import BUDGET, EventLog, handle, make, outcome
from tests.support.pool import insert_batch
from tests.support.skew import set_skew, skewed

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LEASE = MINUTE


class Steady:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    async with skewed(postgres_url, timedelta(0)) as db:
        yield db


async def waits(db: Database) -> dict[str, float]:
    """Minutes until each address is due."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT email, next_attempt_at - now() AS wait FROM sending_pool_emails")
    return {row["email"].split("@")[0]: row["wait"].total_seconds() / 60 for row in rows}


async def age_of_claim(db: Database) -> timedelta:
    async with db.acquire() as connection:
        age: timedelta = await connection.fetchval("SELECT now() - min(claimed_at) FROM sending_pool_emails")
    return age


async def test_mail_that_a_later_clock_has_dated_is_due_in_time(db: Database) -> None:
    clock = PoolClock(db, BUDGET, lease=LEASE)
    await clock.read()
    await insert_batch(db, ["before@x.org"], name="0", state="scheduled", due=10 * MINUTE)
    async with db.acquire() as connection:  # deferred before the jump
        await connection.execute("UPDATE sending_pool_emails SET attempts = 3, due_at = now() - interval '1 hour'")
    [deferred, claimed] = await insert_batch(db, ["deferred@x.org", "claimed@x.org"], name="1", state="sending")
    with structlog.testing.capture_logs() as logs:
        await set_skew(db.url, HOUR)
        await clock.read()
        await handle(make(db, EventLog()), [outcome(deferred, EventType.ERROR, code=451)])
        for name, due in (("accepted", timedelta(0)), ("scheduled", 3 * HOUR)):
            await insert_batch(db, [f"{name}@x.org"], name=name, state="scheduled", due=HOUR + due)
        async with db.acquire() as connection:
            await connection.execute("UPDATE sending_pool_emails SET claimed_at = now() WHERE id = $1", claimed)
        await set_skew(db.url, timedelta(0))
        await clock.read()
    assert (clock.jumps, round(clock.back / MINUTE)) == (2, 60)
    assert [round(line["seconds"] / 60) for line in logs if "jumped" in line["event"]] == [60, -60]
    minutes = await waits(db)
    assert minutes["accepted"] <= 0
    assert 0 < minutes["deferred"] <= 6  # its first delay of five minutes with the longest jitter
    assert 9 < minutes["before"] <= 10
    assert 238 < minutes["scheduled"] <= 240  # the time that its sender has chosen
    assert timedelta(0) <= await age_of_claim(db) < LEASE


async def test_a_claim_looks_older_until_its_lease_has_passed(db: Database) -> None:
    steady = Steady()
    clock = PoolClock(db, BUDGET, lease=LEASE, steady=steady)
    await clock.read()
    assert clock.ahead == timedelta(0)
    await set_skew(db.url, HOUR)
    await clock.read()
    assert abs(clock.ahead - HOUR) < MINUTE
    steady.seconds += 59
    assert abs(clock.ahead - HOUR) < MINUTE
    steady.seconds += 2
    assert clock.ahead == timedelta(0)


async def test_a_slow_answer_is_no_jump(db: Database) -> None:
    class Slow(Steady):
        def __call__(self) -> float:
            self.seconds += 5.0
            return self.seconds

    clock = PoolClock(db, BUDGET, lease=LEASE, steady=Slow())
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await clock.read()
    assert (logs, clock.jumps) == ([], 0)
