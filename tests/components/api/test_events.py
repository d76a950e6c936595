"""kannon.stats.v1.Events: each event once and in order, whatever happens on the way; cursors, filters, slow readers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from kannon.components.api import event_tail
from kannon.components.api.event_tail import EventTail, Watcher
from kannon.db.events import find_newest_position, list_events, list_new_events
from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from kannon.mail.event_filter import EventFilter, StoredEvent
from kannon.mail.tracking import TrackingMode
from kannon.pb.admin.apiv1 import adminapiv1_pb2 as admin
from kannon.pb.admin.v1.keys_grpc import KeysStub
from kannon.pb.admin.v1.keys_pb2 import CreateKeyRequest
from kannon.pb.stats.v1 import events_pb2 as pb
from kannon.pb.stats.v1.events_grpc import EventsStub
from tests.support.api import ADMIN, RunningApi, basic, refusal, running_api
from tests.support.patience import patience
from tests.support.pool import insert_domain

NOW = datetime.now(UTC)
ONE, TWO = "one.example", "two.example"


def event(number: int, domain: str = ONE, kind: EventType = EventType.DELIVERED, batch: int = 1) -> Event:
    return Event(f"e{number:06}", kind, domain, f"msg_{batch}@{domain}", f"r{number}@example.net", NOW)


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    await ensure_partitions(db, [week_of(NOW)])
    for domain in (ONE, TWO):
        await insert_domain(db, domain)
    async with running_api(db) as api:
        yield api


class Reader:
    """A client that reads a stream and keeps what it has."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.ids: list[str] = []
        self.cursor = ""
        self.ended = False

    async def read(self, count: int) -> list[str]:
        """Until it has so many events."""
        with patience():
            while len(self.ids) < count:
                answer = await self._stream.recv_message()
                if answer is None:
                    self.ended = True
                    await self._stream.recv_trailing_metadata()  # raises what ended the stream
                self.ids += [each.event_id for each in answer.events]
                self.cursor = answer.cursor
        return self.ids


@asynccontextmanager
async def watching(api: RunningApi, metadata: dict[str, str] = ADMIN, **request: Any) -> AsyncIterator[Reader]:
    """From its first answer on, which has no events."""
    async with EventsStub(api.channel).Watch.open(metadata=metadata) as stream:
        await stream.send_message(pb.WatchEventsRequest(**request), end=True)
        reader = Reader(stream)
        with patience():
            first = await stream.recv_message()
        assert first is not None
        assert not first.events
        reader.cursor = first.cursor
        yield reader
        if not reader.ended:
            await stream.cancel()


async def listed(api: RunningApi, **request: Any) -> list[str]:
    """Page after page to the end."""
    found: list[str] = []
    cursor = ""
    while True:
        page = await EventsStub(api.channel).List(pb.ListEventsRequest(**request, cursor=cursor), metadata=ADMIN)
        found += [each.event_id for each in page.events]
        cursor = page.next_cursor
        if not page.more:
            return found


async def test_a_watcher_sees_events_as_they_are_stored(api: RunningApi, db: Database) -> None:
    await insert_events(db, [event(0)])
    async with watching(api, domain=ONE) as own, watching(api) as every:
        await insert_events(db, [event(1), event(2, TWO), event(3)])
        assert await own.read(2) == ["e000001", "e000003"]
        assert await every.read(3) == ["e000001", "e000002", "e000003"]
        await insert_events(db, [event(4)])
        assert await own.read(3) == ["e000001", "e000003", "e000004"]


async def test_a_client_goes_on_from_its_cursor(api: RunningApi, db: Database) -> None:
    await insert_events(db, [event(number) for number in range(500)])
    async with watching(api, domain=ONE, cursor="0") as reader:
        first = list(await reader.read(200))
    await insert_events(db, [event(number) for number in range(500, 700)])
    async with watching(api, domain=ONE, cursor=reader.cursor) as again:
        await again.read(500)
        await insert_events(db, [event(700)])
        assert first + await again.read(501) == [f"e{number:06}" for number in range(701)]


async def test_filters(api: RunningApi, db: Database) -> None:
    async with watching(api, types=["bounced", "opened"]) as types, watching(api, message_id=f"msg_2@{TWO}") as batch:
        page = [event(1), event(2, TWO, EventType.BOUNCED), event(3, TWO, batch=2), event(4, kind=EventType.OPENED)]
        await insert_events(db, page)
        assert await types.read(2) == ["e000002", "e000004"]
        assert await batch.read(1) == ["e000003"]
    for request, expected in (
        ({}, [1, 2, 3, 4]),
        ({"newest_first": True, "take": 1}, [4, 3, 2, 1]),
        ({"domain": TWO, "take": 1}, [2, 3]),
        ({"types": ["bounced"]}, [2]),
        ({"message_id": f"msg_2@{TWO}", "types": ["delivered"]}, [3]),
        ({"email": "R4@example.net"}, [4]),
        ({"domain": ONE, "message_id": f"msg_2@{TWO}"}, []),
        ({"take": 2}, [1, 2, 3, 4]),
    ):
        assert await listed(api, **request) == [f"e{number:06}" for number in expected], request


async def test_anonymous_events_stay_anonymous(api: RunningApi, db: Database) -> None:
    opened = Event("x", EventType.OPENED, ONE, f"msg_1@{ONE}", "r@example.net", NOW, TrackingMode.ANONYMOUS)
    await insert_events(db, [opened, event(1)])
    assert await listed(api) == ["e000001"]


async def test_a_reader_behind_a_sparse_filter_gets_on(api: RunningApi, db: Database) -> None:
    """A page reads a bounded number of rows, and says that there are more although none matches."""
    for first in range(0, 12_000, 1000):
        await insert_events(db, [event(first + n, kind=EventType.OPENED) for n in range(1000)])
    await insert_events(db, [event(12_000)])
    page = await list_events(db, EventFilter(ONE, frozenset({EventType.DELIVERED})), cursor=None, take=100)
    assert (len(page.events), page.more) == (0, True)
    assert await listed(api, domain=ONE, types=["delivered"]) == ["e012000"]
    assert await listed(api, domain=ONE, types=["bounced"], newest_first=True) == []
    async with watching(api, domain=ONE, types=["delivered"], cursor="0") as reader:
        assert await reader.read(1) == ["e012000"]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"cursor": "abc"}, 'cursor: "abc" is not a cursor of this service'),
        ({"cursor": "-1"}, 'cursor: "-1" is not a cursor of this service'),
        ({"cursor": "9" * 19}, f'cursor: "{"9" * 19}" is not a cursor of this service'),
        ({"cursor": "999"}, "cursor: 999 is beyond the newest event of this database"),
        ({"types": ["open"]}, 'types: "open" is not a type of event; the types are accepted, rejected, delivered'),
        ({"domain": "absent.example"}, 'domain: no domain "absent.example"'),
        ({"domain": "no domain"}, "domain: "),
        ({"message_id": "x\n"}, "message_id: must not contain control characters"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_refused_by_its_field(api: RunningApi, request_: dict[str, Any], text: str) -> None:
    stub = EventsStub(api.channel)
    status, found = await refusal(stub.List(pb.ListEventsRequest(**request_), metadata=ADMIN))
    assert status in (Status.INVALID_ARGUMENT, Status.NOT_FOUND)
    assert found.startswith(text)
    with pytest.raises(GRPCError) as refused:
        await stub.Watch(pb.WatchEventsRequest(**request_), metadata=ADMIN)
    assert (refused.value.status, refused.value.message) == (status, found)


async def test_a_revoked_key_ends_its_streams(api: RunningApi, db: Database) -> None:
    made = await KeysStub(api.channel).CreateKey(
        CreateKeyRequest(domain=ONE, name="k", scopes=["read"]), metadata=ADMIN
    )
    async with watching(api, basic(ONE, made.secret)) as reader:
        await insert_events(db, [event(1), event(2, TWO)])
        assert await reader.read(1) == ["e000001"]
        await api.admin.DeactivateAPIKey(admin.DeactivateAPIKeyRequest(domain=ONE, id=made.key.id), metadata=ADMIN)
        with pytest.raises(GRPCError) as refused:
            await reader.read(2)
        assert refused.value.status is Status.UNAUTHENTICATED


async def test_a_slow_reader_is_told_and_cut_and_misses_nothing(
    api: RunningApi, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_tail, "MAX_WAITING", 100)
    async with watching(api, domain=ONE, cursor="0") as quick:
        await insert_events(db, [event(n) for n in range(100)])
        await quick.read(100)
        await insert_events(db, [event(100 + n) for n in range(1000)])  # one page: more than may wait
        with pytest.raises(GRPCError, match=r"reads too slowly; go on from cursor \d+") as refused:
            await quick.read(1100)
        assert refused.value.status is Status.RESOURCE_EXHAUSTED
        assert (refused.value.message or "").endswith(f" {quick.cursor}")
    async with watching(api, domain=ONE, cursor=quick.cursor) as again:
        assert quick.ids + await again.read(1100 - len(quick.ids)) == [f"e{n:06}" for n in range(1100)]


async def test_no_position_becomes_visible_before_a_lower_one(db: Database) -> None:
    """Writers at the same time, and a reader that always goes on from the highest position it has seen."""
    await ensure_partitions(db, [week_of(NOW)])
    seen: list[StoredEvent] = []
    done = anyio.Event()

    async def write(writer: int) -> None:
        for page in range(10):
            await insert_events(db, [event(writer * 1000 + page * 10 + n) for n in range(10)])

    async def read() -> None:
        last = False
        while not last:
            last = done.is_set()
            while page := await list_new_events(db, after=seen[-1].position if seen else 0, take=7):
                seen.extend(page)
            await anyio.sleep(0)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        async with anyio.create_task_group() as writers:
            for writer in range(4):
                writers.start_soon(write, writer)
        done.set()
    assert len({stored.event.event_id for stored in seen}) == len(seen) == 400
    assert [s.position for s in seen] == sorted(s.position for s in seen)


async def test_a_writer_waits_with_its_positions_for_the_one_before(db: Database) -> None:
    """The lock is what the order rests on: a second writer draws no position while the first may still commit lower
    ones."""
    await ensure_partitions(db, [week_of(NOW)])
    async with db.transaction() as first:
        await first.execute("SELECT pg_advisory_xact_lock(1802006125)")  # as lock_stats does
        async with anyio.create_task_group() as group:
            group.start_soon(insert_events, db, [event(1)])
            async with db.acquire() as other:
                waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                with patience():
                    while not await other.fetchval(waiting):
                        await anyio.sleep(0.01)
                assert not await other.fetchval("SELECT is_called FROM stats_position")
            await first.execute("SELECT nextval('stats_position')")
            group.cancel_scope.cancel()
    await insert_events(db, [event(1)])
    assert await find_newest_position(db) == 2


class Stored:
    """Events in memory, for the tail alone."""

    def __init__(self, count: int = 0) -> None:
        self.events = [StoredEvent(n, event(n)) for n in range(1, count + 1)]
        self.reads = 0
        self.may_answer = anyio.Event()
        self.may_answer.set()

    def add(self, count: int) -> None:
        first = len(self.events) + 1
        self.events += [StoredEvent(n, event(n)) for n in range(first, first + count)]

    async def read(self, after: int, take: int) -> Sequence[StoredEvent]:
        self.reads += 1
        page = self.events[after : after + take]
        await self.may_answer.wait()
        return page

    async def last(self) -> int:
        return len(self.events)


def positions(watcher: Watcher) -> list[int]:
    return [each.position for each in watcher.take(10**9)]


async def test_fifty_watchers_cost_one_read() -> None:
    stored = Stored()
    tail = EventTail(stored.read, stored.last)
    watchers = [Watcher(EventFilter(ONE), 0) for _ in range(50)]
    assert all(tail.join(watcher) for watcher in watchers)
    stored.add(10)
    await tail.poll()
    assert stored.reads == 1
    taken = [watcher.take(100) for watcher in watchers]
    assert [each.position for each in taken[0]] == list(range(1, 11))
    assert all(each is first for one in taken for each, first in zip(one, taken[0], strict=True))  # encoded once
    await tail.poll()
    assert stored.reads == 1


async def test_who_joins_behind_the_others_must_first_read_by_itself() -> None:
    stored = Stored(5)
    tail = EventTail(stored.read, stored.last)
    early, late = Watcher(EventFilter(), 0), Watcher(EventFilter(), 3)
    assert tail.join(early)
    await tail.poll()
    assert not tail.join(late)
    late.upto = tail.head
    assert tail.join(late)
    stored.add(2)
    await tail.poll()
    assert (positions(early), positions(late)) == ([1, 2, 3, 4, 5, 6, 7], [6, 7])


async def test_a_read_for_a_watcher_that_left_is_not_taken_for_the_next_one() -> None:
    stored = Stored(5)
    tail = EventTail(stored.read, stored.last)
    ahead, behind = Watcher(EventFilter(), 4), Watcher(EventFilter(), 1)
    assert tail.join(ahead)
    stored.may_answer = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(tail.poll)
        await anyio.wait_all_tasks_blocked()
        tail.leave(ahead)
        assert tail.join(behind)
        stored.may_answer.set()
    assert (positions(ahead), positions(behind)) == ([], [2, 3, 4, 5])
