"""Whatever becomes of the bus, readers are answered and events are kept."""

import anyio
import pytest

from kannon.components.bump import outbox
from kannon.components.bump.outbox import Outbox
from kannon.mail.event import Event, EventType
from tests.components.bump.conftest import ScriptedBus, Start
from tests.support.http import request
from tests.support.mail import NOW
from tests.support.readers import click_path, open_path


def event(number: int) -> Event:
    return Event(f"event{number}", EventType.OPENED, "example.com", "msg_1@example.com", "a@example.org", NOW)


async def test_a_hanging_bus_costs_a_reader_one_second(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bus hangs until the reader has an answer; the second is a short one here."""
    assert outbox.WAIT_SECONDS == 1.0
    monkeypatch.setattr(outbox, "WAIT_SECONDS", 0.05)
    bus = ScriptedBus(hold=anyio.Event())
    async with start(bus) as running:
        response = await request(running.port, click_path())
        assert bus.hold is not None
        bus.hold.set()
    assert response.status == 307
    assert len(bus.events) == 1


async def test_events_wait_while_the_bus_is_away_and_keep_their_ids(start: Start) -> None:
    bus = ScriptedBus(away=True)
    async with start(bus) as running:
        async with anyio.create_task_group() as readers:
            for _ in range(20):
                readers.start_soon(request, running.port, open_path())
        assert bus.refused.is_set()
        bus.away = False
    assert sorted(e.event_id for e in bus.events) == sorted(f"event{n}" for n in range(1, 21))


async def test_the_answer_waits_for_the_publish(start: Start) -> None:
    async with start() as running:
        await request(running.port, open_path())
        assert len(running.events) == 1


async def test_events_leave_in_bursts() -> None:
    bus = ScriptedBus(hold=anyio.Event())
    box = Outbox(bus)
    async with anyio.create_task_group() as group:
        group.start_soon(box.run)
        for number in range(1200):
            group.start_soon(box.put, event(number))
        await anyio.wait_all_tasks_blocked()
        assert bus.hold is not None
        bus.hold.set()
        box.close()
    assert sum(bus.bursts) == 1200
    assert len(bus.bursts) <= 4
    assert [e.event_id for e in bus.events] == [f"event{n}" for n in range(1200)]


async def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    bus = ScriptedBus(hold=anyio.Event())
    box = Outbox(bus)
    async with anyio.create_task_group() as group:
        group.start_soon(box.run)
        for number in range(5):
            group.start_soon(box.put, event(number))
        await anyio.wait_all_tasks_blocked()
        assert len(box) == 3
        assert box.dropped == 2
        assert bus.hold is not None
        bus.hold.set()
        box.close()
    assert len(bus.events) == 3


async def test_what_a_cancelled_run_did_not_publish_is_kept_for_the_next() -> None:
    bus = ScriptedBus(away=True)
    box = Outbox(bus)
    async with anyio.create_task_group() as group:
        group.start_soon(box.run)
        group.start_soon(box.put, event(1))
        await bus.refused.wait()
        group.cancel_scope.cancel()
    assert len(box) == 1
    bus.away = False
    async with anyio.create_task_group() as group:
        group.start_soon(box.run)
        await anyio.wait_all_tasks_blocked()
        box.close()
    assert [e.event_id for e in bus.events] == ["event1"]
    assert len(box) == 0
