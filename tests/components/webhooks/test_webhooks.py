"""The webhooks component over real PostgreSQL and NATS, against scripted endpoints on loopback."""

from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import pytest
from anyio.abc import TaskStatus
from standardwebhooks import Webhook, WebhookVerificationError

from kannon.bus.bus import Bus
from kannon.components.stats import Stats
from kannon.db import webhooks as db_webhooks
from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.db.webhook_outbox import KEPT_ATTEMPTS, lease_endpoints
from kannon.db.webhooks import disable_endpoint, enable_endpoint, find_endpoint, list_attempts, rotate_secret
from kannon.mail.event import EventType
from kannon.mail.suppression import Cause, SuppressionRule
from kannon.mail.webhook import RETRIES, Endpoint, WebhookType
from tests.support.endpoint import HANG, endpoint
from tests.support.patience import patience
from tests.support.webhooks import (
    SECRET,
    add_endpoint,
    event,
    make,
    running,
    store,
    wait_until_empty,
    waiting,
)


class Clock:
    """Passed in; it stands still unless it is told."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) + timedelta(minutes=1)  # after what the database's own clock dates

    def __call__(self) -> datetime:
        return self.now


async def read(db: Database, name: str = "1") -> Endpoint:
    found = await find_endpoint(db, f"whe_{name}")
    assert found is not None
    return found[0]


async def test_events_are_posted_signed_and_once(db: Database, bus: Bus) -> None:
    async with endpoint(secret=SECRET) as at:
        await add_endpoint(db, at.url)
        async with running(make(db, bus)):
            assert await store(db, [event(n) for n in range(1, 51)]) == 50
            assert await store(db, [event(n) for n in range(1, 51)]) == 0  # redelivered
            await at.wait(50)
            await wait_until_empty(db)
    assert set(at.received().values()) == {1}
    first = at.requests[0]
    assert first.headers["webhook-id"] == first.events[0]["id"]
    assert first.headers["content-type"] == "application/json"
    assert first.events[0]["type"] == "delivery.delivered"
    assert first.events[0]["data"]["message_id"] == "msg_1@example.com"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(first.body + b" ", dict(first.headers))
    found = await read(db)
    assert found.last_success_at is not None
    assert found.failing_since is None


async def test_a_batch_has_up_to_as_many_events_as_the_endpoint_asks_for(db: Database, bus: Bus) -> None:
    async with endpoint(secret=SECRET) as at:
        await add_endpoint(db, at.url, max_batch=100)
        await store(db, [event(n) for n in range(1, 251)])
        async with running(make(db, bus)):
            await at.wait(250)
    assert sorted(len(r.events) for r in at.requests) == [50, 100, 100]
    assert len({r.headers["webhook-id"] for r in at.requests}) == 3


async def test_an_endpoint_gets_its_domain_and_types_only(db: Database, bus: Bus) -> None:
    async with endpoint() as at, endpoint() as other:
        await add_endpoint(db, at.url, types=[WebhookType.BOUNCED, WebhookType.DEFERRED])
        await add_endpoint(db, other.url, name="2", domain="example.net")
        async with running(make(db, bus)):
            await store(db, [event(1), event(2, EventType.BOUNCED), event(3, EventType.ERROR)])
            await store(db, [event(4, domain="example.net"), event(5, domain="without.example")])
            await at.wait(2)
            await other.wait(1)
            await wait_until_empty(db)
    assert at.types() == {"delivery.bounced": 1, "delivery.deferred": 1}
    assert other.types() == {"delivery.delivered": 1}


async def test_a_suppression_is_an_event_of_its_own(db: Database, bus: Bus) -> None:
    async with endpoint() as at:
        await add_endpoint(db, at.url, types=[WebhookType.SUPPRESSED, WebhookType.COMPLAINED])
        async with running(StatsAndWebhooks(db, bus)):
            complaint = event(1, EventType.COMPLAINED)
            await bus.publish_events([complaint, event(2)])
            await at.wait(2)
    data = next(e["data"] for r in at.requests for e in r.events if e["type"] == "address.suppressed")
    assert data["email"] == complaint.email
    assert data["cause"] == "complained"
    assert "expires_at" not in data


class StatsAndWebhooks:
    """stats and webhooks in one, as a process runs them."""

    def __init__(self, db: Database, bus: Bus) -> None:
        clock = partial(datetime.now, UTC)
        self._stats = Stats(db, bus, retention=timedelta(days=365), rule=SuppressionRule(), clock=clock)
        self._webhooks = make(db, bus)

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as group:
            await group.start(self._stats.run, stop)
            await group.start(self._webhooks.run, stop)
            task_status.started()


async def test_the_endpoints_own_count_equals_the_statistics(db: Database, bus: Bus) -> None:
    kinds = [EventType.ACCEPTED, EventType.DELIVERED, EventType.OPENED, EventType.ERROR, EventType.UNSUBSCRIBED]
    events = [event(n, kinds[n % 5]) for n in range(1, 1001)]
    async with endpoint(secret=SECRET) as at:
        await add_endpoint(db, at.url, max_batch=50)
        async with running(StatsAndWebhooks(db, bus)):
            for first in range(0, 1000, 100):
                await bus.publish_events(events[first : first + 100])
                await bus.publish_events(events[first : first + 100])
            await at.wait(1200)
            await wait_until_empty(db)
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT type, sum(count) AS count FROM aggregated_stats GROUP BY type")
        suppressed = await connection.fetchval("SELECT count(*) FROM suppressions WHERE cause = 'unsubscribed'")
    stored = {f"delivery.{'deferred' if r['type'] == 'error' else r['type']}": r["count"] for r in rows}
    assert at.types() == stored | {"address.suppressed": suppressed}
    assert suppressed == 200


async def test_a_failed_event_is_retried_at_its_times_until_it_is_given_up(db: Database, bus: Bus) -> None:
    clock = Clock()
    async with endpoint(lambda number: "500") as at:
        await add_endpoint(db, at.url)
        await store(db, [event(1)])
        webhooks = make(db, bus, clock=clock)
        async with running(webhooks):
            for number, delay in enumerate(RETRIES, 1):
                await at.wait_requests(number)
                await settled(db, number)
                clock.now += delay - timedelta(seconds=1)
                assert await lease_endpoints(db, "this", [], 10, clock.now) == []
                clock.now += timedelta(seconds=1)
            await at.wait_requests(len(RETRIES) + 1)
            await wait_until_empty(db)
    assert {r.headers["webhook-id"] for r in at.requests} == {event(1).event_id}
    found = await read(db)
    assert (found.given_up, found.enabled, found.failures) == (1, True, 10)


async def settled(db: Database, count: int) -> None:
    with patience():
        while (await read(db)).failures < count:
            await anyio.sleep(0.005)


async def test_an_endpoint_that_is_away_for_three_days_gets_everything(db: Database, bus: Bus) -> None:
    """Events come all the time; each is retried by its own times, and none is lost."""
    clock = Clock()
    start = clock.now
    stored = 0
    away = timedelta(days=3)
    async with endpoint(lambda number: "503" if clock.now - start < away else "200") as at:
        await add_endpoint(db, at.url, max_batch=100)
        async with running(make(db, bus, clock=clock)):
            while clock.now - start < timedelta(days=4):
                if clock.now - start < away:
                    stored += 1
                    await store(db, [event(stored)])
                before = len(at.requests)
                clock.now += timedelta(hours=2)
                with anyio.move_on_after(0.7):
                    await at.wait_requests(before + 1)
                await anyio.sleep(0.03)
            await at.wait(stored)
            await wait_until_empty(db)
    assert len(at.received()) == stored == 36
    found = await read(db)
    assert (found.enabled, found.given_up, found.failing_since) == (True, 0, None)


async def test_410_switches_off_and_the_others_of_the_domain_hear_it(db: Database, bus: Bus) -> None:
    async with endpoint(lambda number: "410") as gone, endpoint() as other:
        await add_endpoint(db, gone.url, types=[WebhookType.DELIVERED])
        await add_endpoint(db, other.url, name="2", types=[WebhookType.ENDPOINT_DISABLED])
        async with running(make(db, bus)):
            await store(db, [event(1)])
            await other.wait(1)
            await store(db, [event(2)])
            assert len(gone.requests) == 1
    found = await read(db)
    assert (found.enabled, found.disabled_reason) == (False, "it answered 410 Gone")
    data = other.requests[0].events[0]["data"]
    assert data == {
        "domain": "example.com",
        "endpoint_id": "whe_1",
        "url": gone.url,
        "reason": "it answered 410 Gone",
    }


async def test_five_days_without_a_success_switch_off_and_enabling_goes_on(db: Database, bus: Bus) -> None:
    clock = Clock()
    answer = "500"
    async with endpoint(lambda number: answer) as at:
        await add_endpoint(db, at.url)
        await store(db, [event(1)])
        async with running(make(db, bus, clock=clock)):
            await settled(db, 1)
            clock.now += timedelta(days=5, seconds=1)
            with patience():
                while (await read(db)).enabled:
                    await anyio.sleep(0.01)
            assert (await read(db)).disabled_reason == "no request succeeded for 5 days"
            assert await store(db, [event(2)]) == 0
            assert await waiting(db) == 1
            answer = "200"
            await enable_endpoint(db, "whe_1")
            await at.wait(1)


async def test_retry_after_is_honoured(db: Database, bus: Bus) -> None:
    clock = Clock()
    async with endpoint(lambda number: "429 retry-after: 3600" if number == 0 else "200") as at:
        await add_endpoint(db, at.url)
        await store(db, [event(1)])
        async with running(make(db, bus, clock=clock)):
            await settled(db, 1)
            await store(db, [event(2)])
            clock.now += timedelta(seconds=3590)
            assert await lease_endpoints(db, "this", [], 10, clock.now) == []
            clock.now += timedelta(seconds=20)
            await at.wait(2)


async def test_endpoints_that_hang_hold_up_no_other(db: Database, bus: Bus) -> None:
    """All of them belong to one process, and no request of them ends."""
    async with endpoint(lambda number: HANG) as hanging, endpoint() as good:
        for n in range(20):
            await add_endpoint(db, hanging.url, name=f"h{n}", domain=f"h{n}.example")
        await add_endpoint(db, good.url, name="good")
        async with anyio.create_task_group() as group:
            await group.start(make(db, bus, seconds=600).run, anyio.Event())
            await store(db, [event(n, domain=f"h{n % 20}.example") for n in range(200)])
            await hanging.wait_requests(80)  # four of each
            await store(db, [event(n) for n in range(500, 600)])
            await good.wait(100)
            assert len(hanging.requests) == 80
            group.cancel_scope.cancel()


async def test_both_secrets_sign_while_one_follows_the_other(db: Database, bus: Bus) -> None:
    new = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
    async with endpoint() as at:
        await add_endpoint(db, at.url)
        await rotate_secret(db, "whe_1", new)
        webhooks = make(db, bus)
        async with running(webhooks):
            await store(db, [event(1)])
            await at.wait(1)
            while webhooks._workers:
                await anyio.sleep(0.005)
            async with db.acquire() as connection:
                await connection.execute("UPDATE webhook_endpoints SET previous_until = now() - interval '1 second'")
            await store(db, [event(2)])
            await at.wait(2)
    both, last = at.requests
    for secret in (SECRET, new):
        Webhook(secret).verify(both.body, dict(both.headers))
    Webhook(new).verify(last.body, dict(last.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(last.body, dict(last.headers))


async def test_the_last_attempts_are_kept(db: Database, bus: Bus) -> None:
    async with endpoint(lambda number: "200" if number else "500") as at:
        await add_endpoint(db, at.url)
        async with running(make(db, bus)):
            await store(db, [event(1)])
            await settled(db, 1)
            [failed] = await list_attempts(db, "whe_1", 10)
            assert (failed.status, failed.problem, failed.answer, failed.events) == (500, "answered 500", "said 500", 1)
            await store(db, [event(n) for n in range(2, 152)])
            await at.wait(150)
        attempts = await list_attempts(db, "whe_1", 1000)
    assert len(attempts) == KEPT_ATTEMPTS
    assert {a.status for a in attempts} == {200}


async def test_a_replay_comes_after_fresh_events_and_has_the_same_ids(db: Database, bus: Bus) -> None:
    before = [event(n, at=datetime.now(UTC) - timedelta(hours=1)) for n in range(1, 1301)]
    await store(db, before)
    async with endpoint() as at:
        replayed = await add_endpoint(db, at.url, max_batch=10)
        at.delay = 0.005
        count = await db_webhooks.insert_replay(
            db, replayed, datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC) - timedelta(minutes=30)
        )
        assert count == 1300
        async with running(make(db, bus)):
            await at.wait(20)
            await store(db, [event(9999)])
            await at.wait(1301)
            await wait_until_empty(db)
    order = list(at.received())
    assert set(order) == {each.event_id for each in before} | {event(9999).event_id}
    assert order.index(event(9999).event_id) < 1000


async def test_two_processes_share_the_endpoints(db: Database, bus: Bus) -> None:
    async with endpoint() as at:
        for n in range(10):
            await add_endpoint(db, at.url, name=str(n), domain=f"d{n}.example")
        async with running(make(db, bus)), running(make(db, bus, owner="that")):
            await store(db, [event(n, domain=f"d{n % 10}.example") for n in range(500)])
            await at.wait(500)
            await wait_until_empty(db)
    assert set(at.received().values()) == {1}


async def test_what_waits_for_an_endpoint_that_is_off_waits(db: Database, bus: Bus) -> None:
    async with endpoint() as at:
        await add_endpoint(db, at.url)
        await store(db, [event(1)])
        await disable_endpoint(db, "whe_1", "by the administrator")
        await store(db, [event(2)])
        async with running(make(db, bus)):
            await anyio.sleep(0.1)
            assert at.requests == []
            await enable_endpoint(db, "whe_1")
            await at.wait(1)


async def test_an_unsubscribe_suppresses_whatever_the_switches_of_suppression_say(db: Database) -> None:
    await add_endpoint(db, "https://example.com/")
    async with db.acquire() as connection:
        await connection.execute("UPDATE domains SET suppression_enabled = false")
    events = [event(1, EventType.UNSUBSCRIBED), event(2, EventType.COMPLAINED)]
    required = [s for s in map(SuppressionRule(enabled=False).apply, events) if s is not None]
    assert [(s.cause, s.email, s.expires_at) for s in required] == [(Cause.UNSUBSCRIBED, events[0].email, None)]
    await ensure_partitions(db, {week_of(events[0].at)})
    assert (await insert_events(db, events, required)).suppressed == {events[0].event_id}
