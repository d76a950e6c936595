"""From claimed rows to envelopes on the bus, over real PostgreSQL, NATS and build workers."""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.components.dispatcher import Builder, BuildOptions, Scheduler, SchedulerLimits
from kannon.components.dispatcher import scheduler as scheduler_module
from kannon.components.dispatcher.builder import BuildFailure
from kannon.components.dispatcher.scheduler import MIN_PAGE, SenderRate
from kannon.db.pool import Database
from kannon.db.queue import ClaimCursor, claim_due
from kannon.errors import Unavailable
from kannon.mail.batch import Delivery
from kannon.mail.build.dkim import generate_dkim_key
from kannon.mail.envelope import Envelope
from kannon.wire.envelopes import parse_envelope
from tests.support.consume import events_of, take
from tests.support.patience import patience
from tests.support.pool import insert_batch, insert_domain, states

OPTIONS = BuildOptions("", autoescape=True, token_ttl=timedelta(days=90), bounce_ttl=timedelta(days=31))
LIMITS = SchedulerLimits(page=50, max_backlog=1000, max_backlog_bytes=1 << 30, workers=1)


def now() -> datetime:
    return datetime.now(UTC)


async def insert_dkim_key(db: Database, domain: str = "example.com") -> None:
    private_pem, public_key = generate_dkim_key("ed25519-sha256")
    await insert_domain(db, domain)
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO dkim_keys (domain, selector, algorithm, private_pem, public_key, active)"
            " VALUES ($1, 'kannon', 'ed25519-sha256', $2, $3, true)",
            domain,
            private_pem,
            public_key,
        )


@pytest.fixture
async def builder(db: Database) -> AsyncIterator[Builder]:
    async with Builder(db, OPTIONS, workers=1, clock=now) as builder:
        yield builder


async def until_it_fails(builder: Builder, page: list[Delivery]) -> None:
    while True:
        await builder.build(page, now())


async def run_scheduler(scheduler: Scheduler, bus: Bus, envelopes: int) -> None:
    """Until so many envelopes are in the stream."""
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            group.start_soon(scheduler.run, stop)
            while (await bus.backlog()).messages < envelopes:
                await anyio.lowlevel.checkpoint()
            stop.set()


async def test_due_rows_become_signed_envelopes(db: Database, bus: Bus, builder: Builder) -> None:
    await insert_dkim_key(db)
    emails = [f"a{n}@example.org" for n in range(100)]
    ids = await insert_batch(db, emails, state="scheduled", fields='{"name": "Ada & Co"}')
    await run_scheduler(Scheduler(db, bus, builder, LIMITS, clock=now), bus, 100)
    envelopes = [parse_envelope(m.payload) for m in await take(bus, streams.SENDER, 100)]
    assert sorted(int(e.email_id) for e in envelopes) == ids
    assert {e.to for e in envelopes} == set(emails)
    assert all(e.body.startswith(b"DKIM-Signature: ") and b"Ada &amp; Co" in e.body for e in envelopes)
    assert all(e.attempt == 1 and e.return_path.endswith("@example.com") for e in envelopes)
    assert set((await states(db)).values()) == {"sending"}


async def test_every_tenant_has_its_turn_where_they_are_more_than_a_page_has_places(
    db: Database, bus: Bus, builder: Builder
) -> None:
    tenants = [f"t{n}.test" for n in range(5)]
    for tenant in tenants:
        await insert_dkim_key(db, tenant)
        await insert_batch(db, [f"a{n}@example.org" for n in range(20)], domain=tenant, state="scheduled")
    await run_scheduler(Scheduler(db, bus, builder, replace(LIMITS, page=2), clock=now), bus, 6)
    envelopes = [parse_envelope(m.payload) for m in await take(bus, streams.SENDER, 6)]
    assert {envelope.return_path.rpartition("@")[2] for envelope in envelopes} == set(tenants)


async def test_it_stops_claiming_while_the_stream_is_full(db: Database, bus: Bus, builder: Builder) -> None:
    await insert_dkim_key(db)
    await insert_batch(db, [f"a{n}@example.org" for n in range(60)], state="scheduled")
    limits = replace(LIMITS, page=10, max_backlog=20, workers=0)
    await run_scheduler(Scheduler(db, bus, builder, limits, clock=now), bus, 20)
    assert 20 <= (await bus.backlog()).messages <= 30
    assert list((await states(db)).values()).count("scheduled") >= 30


async def count_sending(db: Database) -> int:
    return list((await states(db)).values()).count("sending")


class GatedBuilder(Builder):
    """Builds when its gate is open."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, OPTIONS, workers=0, clock=now)
        self.gate = anyio.Event()
        self.asked = anyio.Event()

    async def build(self, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | BuildFailure]:
        self.asked.set()
        await self.gate.wait()
        return await super().build(deliveries, now)


async def test_it_claims_a_page_for_each_worker_and_one_more_while_none_is_published(db: Database, bus: Bus) -> None:
    await insert_dkim_key(db)
    await insert_batch(db, [f"a{n}@example.org" for n in range(400)], state="scheduled")
    stop = anyio.Event()
    async with GatedBuilder(db) as builder:
        scheduler = Scheduler(db, bus, builder, replace(LIMITS, workers=2), clock=now)
        with patience():
            async with anyio.create_task_group() as group:
                group.start_soon(scheduler.run, stop)
                await builder.asked.wait()
                while await count_sending(db) < 3 * MIN_PAGE:
                    pass
                for _ in range(20):  # as long as several claims take
                    assert await count_sending(db) == 3 * MIN_PAGE
                builder.gate.set()
                while (await bus.backlog()).messages < 2 * MIN_PAGE:
                    await anyio.lowlevel.checkpoint()
                stop.set()
    assert scheduler._unpublished == 0


async def test_while_claiming_fails_it_waits_and_then_goes_on(
    db: Database, bus: Bus, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than it has places for pages."""
    await insert_dkim_key(db)
    await insert_batch(db, ["a@example.org"], state="scheduled")
    failures = 0

    async def counted(db: Database, page: int, cursor: ClaimCursor) -> list[Delivery]:
        nonlocal failures
        try:
            return await claim_due(db, page, cursor)
        except Unavailable:
            failures += 1
            raise

    monkeypatch.setattr(scheduler_module, "claim_due", counted)
    monkeypatch.setattr(scheduler_module, "MAX_PAUSE_SECONDS", 0.1)
    async with db.acquire() as connection:
        await connection.execute("ALTER TABLE sending_pool_emails RENAME TO elsewhere")
        async with anyio.create_task_group() as group:
            group.start_soon(run_scheduler, Scheduler(db, bus, builder, LIMITS, clock=now), bus, 1)
            with patience():
                while failures <= LIMITS.workers + 1:
                    await anyio.sleep(0.01)  # the condition is the database's
            await connection.execute("ALTER TABLE elsewhere RENAME TO sending_pool_emails")


async def test_a_claim_that_is_cancelled_after_its_commit_hands_its_rows_back(
    db: Database, bus: Bus, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_dkim_key(db)
    [delivery] = await insert_batch(db, ["a@example.org"], state="scheduled")
    async with anyio.create_task_group() as group:

        async def cut(db: Database, page: int, cursor: ClaimCursor) -> list[Delivery]:
            claimed = await claim_due(db, page, cursor)
            assert await states(db) == {delivery: "sending"}
            group.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()
            return claimed

        monkeypatch.setattr(scheduler_module, "claim_due", cut)
        group.start_soon(Scheduler(db, bus, builder, LIMITS, clock=now).run, anyio.Event())
    assert await states(db) == {delivery: "scheduled"}


async def test_a_single_mail_is_built_before_the_large_batch_it_was_claimed_with(
    db: Database, bus: Bus, builder: Builder
) -> None:
    await insert_dkim_key(db)
    await insert_dkim_key(db, "other.com")
    await insert_batch(db, [f"a{n}@example.org" for n in range(300)], state="scheduled")
    await insert_batch(db, ["single@example.org"], domain="other.com", state="scheduled")
    await run_scheduler(Scheduler(db, bus, builder, replace(LIMITS, workers=0), clock=now), bus, 100)
    envelopes = [parse_envelope(m.payload) for m in await take(bus, streams.SENDER, 100)]
    assert envelopes[0].to == "single@example.org"


class RecordingBuilder(Builder):
    """Keeps of each call the number of deliveries by batch."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, OPTIONS, workers=0, clock=now)
        self.calls: list[dict[str, int]] = []

    async def build(self, deliveries: Sequence[Delivery], now: datetime) -> list[Envelope | BuildFailure]:
        self.calls.append(dict(Counter(delivery.message_id for delivery in deliveries)))
        return await super().build(deliveries, now)


async def test_small_batches_share_a_call_that_no_large_batch_joins(db: Database, bus: Bus) -> None:
    await insert_dkim_key(db)
    await insert_batch(db, [f"a{n}@example.org" for n in range(30)], name="large", state="scheduled")
    for number in range(5):
        await insert_batch(db, [f"b{number}@example.org"], name=f"single{number}", state="scheduled")
    async with RecordingBuilder(db) as builder:
        await run_scheduler(Scheduler(db, bus, builder, replace(LIMITS, workers=0), clock=now), bus, 35)
    assert builder.calls == [
        {f"msg_single{number}@example.com": 1 for number in range(5)},
        {"msg_large@example.com": 30},
    ]


async def test_a_call_has_at_most_a_hundred_mails_of_small_batches(
    db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "CHUNK", 4)
    await insert_dkim_key(db)
    for number in range(5):
        await insert_batch(
            db, [f"a{number}@example.org", f"b{number}@example.org"], name=str(number), state="scheduled"
        )
    async with RecordingBuilder(db) as builder:
        await run_scheduler(Scheduler(db, bus, builder, replace(LIMITS, workers=0), clock=now), bus, 10)
    assert [sum(call.values()) for call in builder.calls] == [4, 4, 2]


async def test_a_page_ends_before_its_lease_after_a_slow_claim(
    db: Database, bus: Bus, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease counts from the beginning of the claim, so a claim that waited for a lock leaves less for the rest."""
    await insert_dkim_key(db)
    await insert_batch(db, ["a@example.org"], state="scheduled")
    claimed: list[int] = []

    async def slow_claim(db: Database, page: int, cursor: ClaimCursor) -> list[Delivery]:
        rows = await claim_due(db, page, cursor)
        if rows and not claimed:
            await anyio.sleep(2 * scheduler_module.PAGE_SECONDS)
            monkeypatch.setattr(scheduler_module, "PAGE_SECONDS", 30.0)
        claimed.extend(row.id for row in rows)
        return rows

    monkeypatch.setattr(scheduler_module, "claim_due", slow_claim)
    monkeypatch.setattr(scheduler_module, "PAGE_SECONDS", 0.1)
    await run_scheduler(Scheduler(db, bus, builder, LIMITS, clock=now), bus, 1)
    assert len(claimed) == 2
    assert len(set(claimed)) == 1


def test_the_rate_follows_the_senders() -> None:
    rate = SenderRate()
    assert rate.update(0.0, 1000) == 0
    assert [round(rate.update(float(t), 1000 + 500 * t)) for t in range(1, 6)] == [250, 375, 438, 469, 484]
    assert round(rate.update(100.0, 3500)) == 0  # they stopped
    assert round(rate.update(101.0, 10)) == 0  # the stream was made anew
    assert rate.update(102.0, 510) == 250


async def test_a_mail_that_cannot_be_built_is_deferred_with_its_reason(
    db: Database, bus: Bus, builder: Builder
) -> None:
    await insert_batch(db, ["a@example.org"], domain="nokey.com", state="scheduled")
    await insert_dkim_key(db)
    await insert_batch(db, ["b@example.org"], state="scheduled")
    await run_scheduler(Scheduler(db, bus, builder, LIMITS, clock=now), bus, 1)
    [error] = await events_of(bus, streams.OUTCOMES, 1)
    assert (error.type, error.stage, error.email, error.attempt) == ("error", "build", "a@example.org", 1)
    assert "no active DKIM key" in error.text


async def test_a_worker_that_dies_costs_a_retried_page_and_no_mail(db: Database, bus: Bus) -> None:
    await insert_dkim_key(db)
    await insert_batch(db, [f"a{n}@example.org" for n in range(5)], state="scheduled")
    page = await claim_due(db, 10)
    async with Builder(db, OPTIONS, workers=1, clock=now) as builder:
        assert len(await builder.build(page, now())) == 5
        [worker] = _children()
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(Unavailable, match="worker died"):
            await until_it_fails(builder, page)
        assert not any(isinstance(b, BuildFailure) for b in await builder.build(page, now()))


async def test_a_page_that_cannot_be_published_goes_back_without_an_attempt(
    db: Database, bus: Bus, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_dkim_key(db)
    [delivery] = await insert_batch(db, ["a@example.org"], state="scheduled")
    released = anyio.Event()

    async def refuse(*_: object) -> None:
        released.set()
        raise Unavailable("NATS refused: maximum messages exceeded")

    monkeypatch.setattr(bus, "publish_envelopes", refuse)
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            group.start_soon(Scheduler(db, bus, builder, LIMITS, clock=now).run, stop)
            await released.wait()
            stop.set()
    assert await states(db) == {delivery: "scheduled"}
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT attempts FROM sending_pool_emails") == 0


def _children() -> list[int]:
    """Build workers: our children that run Python's spawn entry."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            if parent == str(os.getpid()) and "spawn_main" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found
