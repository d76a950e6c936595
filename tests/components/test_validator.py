"""The validator's cycle, over real PostgreSQL and NATS."""

from typing import Any

import anyio
import asyncpg
import pytest

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.components.validator import Validator
from kannon.db.pool import Database, Permits
from kannon.db.queries import queries
from kannon.db.queue import ClaimCursor, FirstClock, UnvalidatedDelivery, claim_to_validate, settle_validated
from kannon.errors import Unavailable
from tests.support.consume import events_of
from tests.support.patience import patience
from tests.support.pool import insert_batch, states


async def test_good_addresses_are_scheduled_and_bad_ones_rejected(db: Database, bus: Bus) -> None:
    good, bad, other = await insert_batch(db, ["a@example.org", "not an address", "ü@bücher.example"])
    assert await Validator(db, bus).cycle() == 3
    assert await states(db) == {good: "scheduled", other: "scheduled"}
    events = {e.delivery_id: e for e in await events_of(bus, streams.STATS, 3)}
    assert {number: e.type for number, e in events.items()} == {good: "accepted", bad: "rejected", other: "accepted"}
    assert events[bad].text
    assert events[good].message_id == "msg_1@example.com"
    assert await Validator(db, bus).cycle() == 0


@pytest.mark.parametrize("batches", [1, 20])
async def test_a_page_of_many_batches_takes_as_many_statements_as_one_of_one_batch(
    db: Database, bus: Bus, batches: int
) -> None:
    names = {getattr(queries, name).sql: name for name in queries.available_queries}
    asked: list[str] = []

    def count(record: Any) -> None:
        if record.query in names:  # not what asyncpg itself asks a new connection
            asked.append(names[record.query].removesuffix("_cursor"))

    async def watch(connection: Any) -> None:
        connection.add_query_logger(count)

    for number in range(batches):
        addresses = [f"a{n}@example.org" for n in range(200 // batches - 1)]
        await insert_batch(db, [*addresses, "not an address"], name=str(number), domain=f"t{number}.test")
    pool = await asyncpg.create_pool(db.url, min_size=0, max_size=2, setup=watch)
    assert await Validator(Database(pool, Permits(2)), bus).cycle() == 200
    await pool.close()
    settle = ["keep_to_indexes", "settle_validated", "delete_validated"]
    assert asked == ["keep_to_indexes", "claim_to_validate", *settle]


async def test_every_tenant_has_its_turn_where_they_are_more_than_a_page_has_places(
    db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.components.validator.PAGE", 2)
    tenants = [f"t{n}.test" for n in range(5)]
    for tenant in tenants:
        await insert_batch(db, [f"a{n}@example.org" for n in range(20)], domain=tenant)
    validator = Validator(db, bus)
    for _ in range(3):
        assert await validator.cycle() == 2
    assert {event.domain for event in await events_of(bus, streams.STATS, 6)} == set(tenants)


async def test_a_repeat_after_a_crash_is_the_same_event(
    db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_batch(db, ["a@example.org"])

    async def crash(*_: object, **__: object) -> None:
        raise Unavailable("PostgreSQL: gone")

    monkeypatch.setattr("kannon.components.validator.settle_validated", crash)
    with pytest.raises(Unavailable):
        await Validator(db, bus).cycle()
    monkeypatch.setattr("kannon.components.validator.settle_validated", settle_validated)
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET state = 'to_validate', claimed_at = NULL")
    assert await Validator(db, bus).cycle() == 1
    assert (await bus.backlog("kannon_stats")).messages == 1


async def test_a_claim_that_is_cancelled_after_its_commit_returns_its_rows(
    db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    [delivery] = await insert_batch(db, ["a@example.org"])
    async with anyio.create_task_group() as group:

        async def cut(db: Database, page: int, cursor: ClaimCursor) -> list[UnvalidatedDelivery]:
            claimed = await claim_to_validate(db, page, cursor)
            assert await states(db) == {delivery: "validating"}
            group.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()
            return claimed

        monkeypatch.setattr("kannon.components.validator.claim_to_validate", cut)
        group.start_soon(Validator(db, bus).run, anyio.Event())
    assert await states(db) == {delivery: "to_validate"}


async def test_a_page_that_cannot_be_published_is_returned(
    db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    [delivery] = await insert_batch(db, ["a@example.org"])

    async def away(_: object) -> None:
        raise Unavailable("NATS: gone")

    monkeypatch.setattr(bus, "publish_events", away)
    with pytest.raises(Unavailable):
        await Validator(db, bus).cycle()
    assert await states(db) == {delivery: "to_validate"}


async def test_a_notification_starts_a_cycle_and_stop_ends_it(db: Database, bus: Bus) -> None:
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(Validator(db, bus).run, stop)
            [delivery] = await insert_batch(db, ["a@example.org"])
            await bus.notify_validator()
            while (await states(db))[delivery] != "scheduled":
                await anyio.lowlevel.checkpoint()
            stop.set()


async def test_full_pages_follow_each_other_at_once(db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the rows behind a page that is not full gather."""
    for name, value in (("PAGE", 2), ("GATHER_SECONDS", 3600), ("GATHER_SECONDS_PER_ROW", 3600)):
        monkeypatch.setattr(f"kannon.components.validator.{name}", value)
    await insert_batch(db, [f"a{n}@example.org" for n in range(5)])
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(Validator(db, bus).run, anyio.Event())
            while set((await states(db)).values()) != {"scheduled"}:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()


async def test_claims_of_an_earlier_process_are_taken_back_at_once_where_it_is_alone(db: Database, bus: Bus) -> None:
    [delivery] = await insert_batch(db, ["a@example.org"], state="validating")
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(Validator(db, bus, lost_before=FirstClock(db), alone=True).run, stop)
            while (await states(db))[delivery] != "scheduled":
                await anyio.lowlevel.checkpoint()
            stop.set()
