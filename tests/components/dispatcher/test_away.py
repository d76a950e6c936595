"""The dispatcher while NATS is away or silent: it waits, keeps its build workers, and goes on."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from kannon.bus.backlog import Queue
from kannon.bus.bus import Bus
from kannon.components.dispatcher import Builder, Dispatcher, Outcomes, Scheduler
from kannon.db.pool import Database
from kannon.db.queue import FirstClock
from kannon.embedded import DataDir, EmbeddedNats
from kannon.errors import Unavailable
from kannon.mail.event import Event, EventType
from kannon.mail.retry import RetryBudget
from tests.components.dispatcher.test_scheduler import LIMITS, OPTIONS, _children, insert_dkim_key, now
from tests.support.pool import insert_batch, states

GENEROUS_SECONDS = 60.0


class Watched(Bus):
    """Counts the questions that NATS left unanswered."""

    unanswered = 0

    async def sending_queue(self) -> Queue:
        try:
            return await super().sending_queue()
        except Unavailable:
            self.unanswered += 1
            raise


@asynccontextmanager
async def running(
    db: Database, bus: Bus, *, lease: timedelta = timedelta(seconds=60), alone: bool = False
) -> AsyncIterator[None]:
    """Fails where the dispatcher ends by itself."""
    builder = Builder(db, OPTIONS, workers=1, clock=now)
    budget = RetryBudget(timedelta(hours=1), timedelta(minutes=1), timedelta(minutes=10))
    dispatcher = Dispatcher(
        db,
        bus,
        Scheduler(db, bus, builder, LIMITS, clock=now),
        Outcomes(db, bus, budget=budget, clock=now, chance=lambda: 0.5),
        builder,
        budget=budget,
        lease=lease,
        lost_before=FirstClock(db) if alone else None,
        alone=alone,
    )
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(partial(dispatcher.run, stop))
        yield
        stop.set()


async def until_sent(bus: Bus, count: int) -> None:
    """Until so many envelopes are in the stream."""
    with anyio.fail_after(GENEROUS_SECONDS):
        while True:
            try:
                if (await bus.backlog()).messages >= count:
                    return
            except Unavailable:
                pass
            await anyio.sleep(0.02)  # the condition is NATS's


async def work_goes_on(db: Database, bus: Bus, delivery: int, total: int) -> None:
    """Another delivery is claimed, built and published; an outcome settles the first."""
    [another] = await insert_batch(db, ["b@example.org"], name="2", state="scheduled")
    await until_sent(bus, total)
    event = Event(
        f"{delivery}.1.delivered",
        EventType.DELIVERED,
        "example.com",
        "msg_1@example.com",
        "a@example.org",
        now(),
        delivery_id=delivery,
        attempt=1,
    )
    await bus.publish_events([event])
    with anyio.fail_after(GENEROUS_SECONDS):
        while delivery in await states(db):
            await anyio.sleep(0.02)  # the condition is the dispatcher's
    assert (await states(db))[another] == "sending"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    with DataDir.open(tmp_path) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        yield server
        await server.stop()
        server.close()


async def test_an_outage_of_nats_costs_a_wait_and_no_restart(db: Database, server: EmbeddedNats) -> None:
    bus = Watched(server.url)
    await insert_dkim_key(db)
    [delivery] = await insert_batch(db, ["a@example.org"], state="scheduled")
    async with running(db, bus):
        await until_sent(bus, 1)
        workers = _children()
        await server.stop()
        with anyio.fail_after(GENEROUS_SECONDS):
            while bus.unanswered < 2:
                await anyio.sleep(0.02)  # the condition is the dispatcher's
        await server.start()
        await work_goes_on(db, bus, delivery, 2)
        assert _children() == workers
    await bus.close()


async def test_a_question_that_jetstream_leaves_unanswered_costs_a_wait_and_no_restart(
    db: Database, server: EmbeddedNats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.bus.connection.REQUEST_SECONDS", 0.5)
    bus = Watched(server.url)
    await insert_dkim_key(db)
    [delivery] = await insert_batch(db, ["a@example.org"], state="scheduled")
    pid = int((tmp_path / "nats" / "nats.pid").read_text())
    async with running(db, bus):
        await until_sent(bus, 1)
        workers = _children()
        os.kill(pid, signal.SIGSTOP)
        try:
            with anyio.fail_after(GENEROUS_SECONDS):
                while not bus.unanswered:
                    await anyio.sleep(0.02)  # the condition is the dispatcher's
        finally:
            os.kill(pid, signal.SIGCONT)
        await work_goes_on(db, bus, delivery, 2)
        assert _children() == workers
    await bus.close()
