"""The pool's times are PostgreSQL's: a machine whose clock is off neither delays mail nor takes claims away."""

from datetime import timedelta

import anyio

from kannon.bus.bus import Bus
from kannon.components.dispatcher import Builder, Dispatcher, Outcomes, Scheduler, SchedulerLimits
from kannon.db.inspect import DeliveryFilter, retry_now
from kannon.db.pool import Database
from kannon.db.queue import FirstClock, claim_due
from kannon.mail.event import EventType
from kannon.wire.times import optional_time
from tests.components.dispatcher.test_outcomes import BUDGET, EventLog, handle, outcome
from tests.components.dispatcher.test_scheduler import OPTIONS, now
from tests.support.api import a_send, running_api
from tests.support.patience import patience
from tests.support.pool import insert_batch
from tests.support.skew import set_skew, skewed

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def test_a_send_for_now_is_due_at_once_where_the_database_is_behind(postgres_url: str) -> None:
    async with skewed(postgres_url, -HOUR) as db, running_api(db) as api:
        await api.create_domain("example.com")
        answer = await api.mailer.SendHTML(a_send(), metadata=await api.create_key("example.com"))
        async with db.acquire() as connection:
            row = await connection.fetchrow(
                "SELECT now() - due_at, now() - next_attempt_at, due_at FROM sending_pool_emails"
            )
            scheduled_at = await connection.fetchval("SELECT scheduled_at FROM messages")
    assert row is not None
    assert timedelta(0) <= row[0] < HOUR / 2
    assert timedelta(0) <= row[1] < HOUR / 2
    assert scheduled_at == row[2]
    assert optional_time(answer, "scheduled_time") == scheduled_at


async def test_a_claim_is_kept_for_its_lease_where_the_database_is_behind(postgres_url: str, bus: Bus) -> None:
    async with skewed(postgres_url, -HOUR) as db:
        [delivery] = await insert_batch(db, ["a@example.org"], state="sending", due=-2 * HOUR)
        assert await turns_after_a_start(db, bus, lost_before=False) == {delivery: 0}


async def test_a_claim_of_an_earlier_process_is_taken_back_where_the_database_is_ahead(
    postgres_url: str, bus: Bus
) -> None:
    async with skewed(postgres_url, HOUR) as db:
        [delivery] = await insert_batch(db, ["a@example.org"], state="sending", due=-2 * HOUR)
        assert await turns_after_a_start(db, bus, lost_before=True) == {delivery: 1}


async def turns_after_a_start(db: Database, bus: Bus, *, lost_before: bool) -> dict[int, int]:
    """How often each delivery was taken back."""
    limits = SchedulerLimits(page=50, max_backlog=0, max_backlog_bytes=0, workers=0)  # nothing is claimed
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        feed = Scheduler(db, bus, builder, limits, clock=now)
        outcomes = Outcomes(db, bus, budget=BUDGET, chance=lambda: 0.5)
        first = FirstClock(db) if lost_before else None
        dispatcher = Dispatcher(db, bus, feed, outcomes, builder, budget=BUDGET, lease=MINUTE, lost_before=first)
        stop = anyio.Event()
        with patience():
            async with anyio.create_task_group() as group:
                await group.start(dispatcher.run, stop)
                stop.set()
    async with db.acquire() as connection:
        return {r["id"]: r["turn"] for r in await connection.fetch("SELECT id, turn FROM sending_pool_emails")}


async def test_queue_retry_makes_future_dated_mail_due(postgres_url: str) -> None:
    """Accepted and deferred while the clock was an hour ahead, and no dispatcher ran when it went back."""
    async with skewed(postgres_url, HOUR) as db:
        ids = await insert_batch(db, ["a@example.org"], name="1", state="scheduled", due=HOUR)
        ids += await insert_batch(db, ["b@example.org"], name="2", state="sending", due=HOUR)
        await handle(
            Outcomes(db, EventLog(), budget=BUDGET, chance=lambda: 0.5), [outcome(ids[1], EventType.ERROR, code=451)]
        )
        await set_skew(postgres_url, timedelta(0))
        assert await claim_due(db, 10) == []
        assert await retry_now(db, DeliveryFilter(domain="example.com")) == 2
        assert {delivery.id for delivery in await claim_due(db, 10)} == set(ids)


async def test_a_deferral_waits_as_long_as_it_says_where_the_database_is_behind(postgres_url: str) -> None:
    async with skewed(postgres_url, -HOUR) as db:
        [delivery] = await insert_batch(db, ["a@example.org"], state="sending", due=-2 * HOUR)
        await handle(
            Outcomes(db, EventLog(), budget=BUDGET, chance=lambda: 0.5), [outcome(delivery, EventType.ERROR, code=451)]
        )
        async with db.acquire() as connection:
            wait = await connection.fetchval("SELECT next_attempt_at - now() FROM sending_pool_emails")
    assert timedelta(0) < wait < HOUR / 2
