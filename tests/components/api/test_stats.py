"""The Stats services: pages of events, counts per hour, and the plans they run on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Status

from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from kannon.mail.tracking import TrackingMode
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv1.statsapiv1_pb2 import GetStatsAggregatedReq, GetStatsReq
from kannon.pb.stats.apiv2.statsapiv2_grpc import StatsApiV2Stub
from kannon.pb.stats.apiv2.statsapiv2_pb2 import GetAggregatedStatsReq
from tests.support.api import ADMIN, RunningApi, refusal, running_api

HOUR = timedelta(hours=1)
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


def event(number: int, at: datetime, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "event_id": f"e{number:04d}",
        "type": EventType.DELIVERED,
        "domain": "example.com",
        "message_id": "msg_x@example.com",
        "email": f"u{number}@example.net",
        "at": at,
    }
    return Event(**(values | changes))


async def store(db: Database, *events: Event) -> None:
    await ensure_partitions(db, {week_of(e.at) for e in events})
    await insert_events(db, events)


def stamp(at: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(at)
    return value


async def emails(api: RunningApi, **arguments: Any) -> tuple[list[str], int]:
    values: dict[str, Any] = {"domain": "example.com", "take": 100}
    request = GetStatsReq(**(values | arguments))
    response = await StatsApiV1Stub(api.channel).GetStats(request, metadata=ADMIN)
    return [s.email.split("@")[0] for s in response.stats], response.total


async def test_events_are_filtered_and_paged_by_token(db: Database) -> None:
    kinds = [EventType.DELIVERED, EventType.BOUNCED, EventType.OPENED]
    events = [
        event(
            n, NOON - n // 4 * HOUR, type=kinds[n % 3], message_id=f"msg_{n % 2}@example.com", email=f"u{n % 5}@x.org"
        )
        for n in range(40)
    ]

    async def listed(api: RunningApi, take: int, **which: Any) -> tuple[list[str], int]:
        """All pages of a list, and its total."""
        found: list[str] = []
        token = ""
        while True:
            request = GetStatsReq(domain="example.com", take=take, page_token=token, **which)
            answer = await StatsApiV1Stub(api.channel).GetStats(request, metadata=ADMIN)
            found += [each.event_id for each in answer.stats]
            token = answer.next_page_token
            if not token:
                return found, answer.total

    def expected(**which: Any) -> list[str]:
        chosen = [
            e
            for e in events
            if which.get("message_id", e.message_id) == e.message_id
            and which.get("email", e.email).lower() == e.email
            and e.type in which.get("types", kinds)
            and which.get("from_date", stamp(NOON - 99 * HOUR)).ToDatetime(UTC) <= e.at
        ]
        return [e.event_id for e in sorted(chosen, key=lambda e: (e.at, e.event_id), reverse=True)]

    async with running_api(db) as api:
        await api.create_domain("example.com")
        await api.create_domain("other.org")
        await store(db, *events, event(99, NOON, domain="other.org", message_id="msg_0@example.com", email="u1@x.org"))
        filters: list[dict[str, Any]] = [
            {},
            {"types": ["bounced"]},
            {"types": ["delivered"]},
            {"types": ["opened", "delivered", "opened"]},
            {"types": ["complained"]},
            {"message_id": "msg_1@example.com"},
            {"message_id": "msg_1@example.com", "types": ["opened"]},
            {"email": "U1@x.org"},
            {"email": "u1@x.org", "message_id": "msg_0@example.com", "types": ["bounced", "opened"]},
            {"email": "nobody@x.org"},
        ]
        for which in [*filters, *({**each, "from_date": stamp(NOON - 5 * HOUR)} for each in filters[::4])]:
            wanted = expected(**which)
            for take in (7, 100):
                assert await listed(api, take, **which) == (wanted, len(wanted)), (which, take)


async def test_a_filter_that_cannot_be_is_refused(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        for changes, field in (
            ({"types": ["delivered", "sent"]}, "types"),
            ({"email": "a" * 400}, "email"),
            ({"message_id": "a\0b"}, "message_id"),
            ({"page_token": "7"}, "page_token"),
            ({"page_token": "x.y"}, "page_token"),
            ({"page_token": "9" * 40 + ".e"}, "page_token"),
        ):
            request = GetStatsReq(domain="example.com", take=1, **changes)
            status, text = await refusal(StatsApiV1Stub(api.channel).GetStats(request, metadata=ADMIN))
            assert (status, text.split(":")[0]) == (Status.INVALID_ARGUMENT, field), changes


async def test_events_come_newest_first_in_pages(db: Database) -> None:
    async with running_api(db) as api:
        for domain in ("example.com", "other.org"):
            await api.create_domain(domain)
        await store(
            db,
            event(1, NOON),
            event(3, NOON + HOUR),
            event(2, NOON + HOUR),
            event(4, NOON + 9 * 24 * HOUR),  # another partition
            event(5, NOON, domain="other.org"),
        )
        assert await emails(api) == (["u4", "u3", "u2", "u1"], 4)
        assert await emails(api, domain=" EXAMPLE.com ") == (["u4", "u3", "u2", "u1"], 4)
        assert await emails(api, take=2) == (["u4", "u3"], 4)
        assert await emails(api, skip=1, take=2) == (["u3", "u2"], 4)
        assert await emails(api, skip=4) == ([], 4)
        assert await emails(api, skip=2**32 - 1, take=2**32 - 1) == ([], 4)
        assert await emails(api, take=0) == ([], 4)
        assert await emails(api, domain="other.org") == (["u5"], 1)


async def test_the_span_holds_its_beginning_and_not_its_end(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        now = datetime.now(UTC)
        await store(db, event(1, NOON), event(2, NOON + HOUR), event(3, now + 24 * HOUR))
        assert await emails(api) == (["u2", "u1"], 2)  # a missing end is now
        assert await emails(api, from_date=stamp(NOON), to_date=stamp(NOON + HOUR)) == (["u1"], 1)
        assert await emails(api, from_date=stamp(NOON + HOUR / 60)) == (["u2"], 1)
        assert await emails(api, to_date=stamp(NOON)) == ([], 0)
        assert await emails(api, to_date=stamp(now + 48 * HOUR)) == (["u3", "u2", "u1"], 3)
        assert await emails(api, from_date=stamp(now), to_date=stamp(NOON)) == ([], 0)
        first, last = Timestamp(seconds=-62135596800), Timestamp(seconds=253402300799, nanos=999_999_999)
        assert await emails(api, from_date=first, to_date=last) == (["u3", "u2", "u1"], 3)


async def test_what_an_event_says_comes_through(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        events = [
            event(1, NOON, type=EventType.ACCEPTED),
            event(2, NOON, type=EventType.REJECTED, text="invalid address"),
            event(3, NOON, type=EventType.BOUNCED, permanent=True, code=550, text="no such user"),
            event(4, NOON, type=EventType.ERROR, code=451, text="later"),
            event(5, NOON, type=EventType.FAILED, text="out of time"),
            event(6, NOON, type=EventType.OPENED, user_agent="ua", ip="192.0.2.1", tracking_mode=TrackingMode.FULL),
            event(7, NOON, type=EventType.CLICKED, user_agent="ua", ip="::1", url="https://example.com/?a=1&b"),
            event(8, NOON, type=EventType.COMPLAINED),
        ]
        await store(db, *events)
        response = await StatsApiV1Stub(api.channel).GetStats(
            GetStatsReq(domain="example.com", take=100), metadata=ADMIN
        )
    by_type = {s.type: s for s in response.stats}
    assert list(by_type) == [e.type.value for e in reversed(events)]
    assert by_type["rejected"].data.rejected.reason == "invalid address"
    assert by_type["bounced"].data.bounced.permanent
    assert (by_type["bounced"].data.bounced.code, by_type["bounced"].data.bounced.msg) == (550, "no such user")
    assert (by_type["error"].data.error.code, by_type["error"].data.error.msg) == (451, "later")
    assert by_type["failed"].data.failed.reason == "out of time"
    assert (by_type["opened"].data.opened.ip, by_type["opened"].tracking_mode) == ("192.0.2.1", 5)
    assert by_type["clicked"].data.clicked.url == "https://example.com/?a=1&b"
    assert by_type["accepted"].data.WhichOneof("data") == "accepted"
    assert by_type["accepted"].timestamp == stamp(NOON)


async def test_raw_events_are_counted_by_type_and_hour(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        await store(
            db,
            event(1, NOON),
            event(2, NOON + HOUR - timedelta(microseconds=1)),
            event(3, NOON + HOUR),
            event(4, NOON, type=EventType.BOUNCED),
        )
        request = GetStatsAggregatedReq(domain="example.com")
        response = await StatsApiV1Stub(api.channel).GetStatsAggregated(request, metadata=ADMIN)
    assert [(s.type, s.timestamp, s.count) for s in response.stats] == [
        ("bounced", stamp(NOON), 1),
        ("delivered", stamp(NOON), 2),
        ("delivered", stamp(NOON + HOUR), 1),
    ]


async def test_hourly_counts_outlive_events_and_hold_anonymous_ones(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        anonymous = event(2, NOON, type=EventType.OPENED, email="", tracking_mode=TrackingMode.ANONYMOUS)
        await store(db, event(1, NOON), anonymous, event(3, NOON + HOUR))
        async with db.acquire() as connection:
            await connection.execute("DELETE FROM stats")

        async def counts(from_time: datetime, to_time: datetime) -> list[tuple[str, datetime, int]]:
            request = GetAggregatedStatsReq(domain="example.com", from_date=stamp(from_time), to_date=stamp(to_time))
            response = await StatsApiV2Stub(api.channel).GetAggregatedStats(request, metadata=ADMIN)
            return [(s.type, s.timestamp.ToDatetime(UTC), s.count) for s in response.stats]

        both = [("delivered", NOON, 1), ("opened", NOON, 1)]
        assert await counts(NOON, NOON + HOUR) == both
        assert await counts(NOON + HOUR / 2, NOON + HOUR) == both  # the hour that is under way
        assert await counts(NOON + HOUR, NOON + 2 * HOUR) == [("delivered", NOON + HOUR, 1)]
        assert await counts(NOON - HOUR, NOON) == []


BAD_TIMES = [Timestamp(seconds=253402300800), Timestamp(seconds=-62135596801), Timestamp(nanos=-1)]


async def test_bad_requests_are_refused_by_field(db: Database) -> None:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        v1, v2 = StatsApiV1Stub(api.channel), StatsApiV2Stub(api.channel)
        methods: list[tuple[Any, Any]] = [
            (v1.GetStats, GetStatsReq),
            (v1.GetStatsAggregated, GetStatsAggregatedReq),
            (v2.GetAggregatedStats, GetAggregatedStatsReq),
        ]
        good = {"from_date": stamp(NOON), "to_date": stamp(NOON + HOUR)}

        async def answer(method: Any, request: Any, **changes: Any) -> tuple[Status, str]:
            values = {"domain": "example.com"} | good | changes
            status, text = await refusal(method(request(**values), metadata=ADMIN))
            return status, text.split(":")[0]

        for method, request in methods:
            assert await answer(method, request, domain="x") == (Status.INVALID_ARGUMENT, "domain")
            assert await answer(method, request, domain="absent.org") == (Status.NOT_FOUND, "domain")
            for bad in BAD_TIMES:
                assert await answer(method, request, from_date=bad) == (Status.INVALID_ARGUMENT, "from_date")
                assert await answer(method, request, to_date=bad) == (Status.INVALID_ARGUMENT, "to_date")
        for changes, field in (
            ({"from_date": None}, "from_date"),
            ({"to_date": None}, "to_date"),
            ({"to_date": stamp(NOON)}, "from_date"),
            ({"to_date": stamp(NOON - HOUR)}, "from_date"),
        ):
            assert await answer(v2.GetAggregatedStats, GetAggregatedStatsReq, **changes) == (
                Status.INVALID_ARGUMENT,
                field,
            )


@pytest.fixture
async def busy_stats(db: Database) -> Database:
    """40,000 events of 40 domains in four weeks."""
    weeks = [NOON + week * 7 * 24 * HOUR for week in range(4)]
    await ensure_partitions(db, {week_of(at) for at in weeks})
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO stats (event_id, at, type, domain, message_id, email)"
            " SELECT 'e' || i, $1::timestamptz + (i % 4) * interval '7 days' + i * interval '1 second', 'delivered',"
            " 'd' || i % 40 || '.com', 'm' || i, 'x@y.z' FROM generate_series(1, 40000) i",
            NOON,
        )
        await connection.execute("ANALYZE stats")
    return db


@pytest.mark.parametrize("name", ["list_stats", "count_stats", "count_stats_by_hour"])
async def test_a_tenants_page_reads_no_whole_table(busy_stats: Database, name: str) -> None:
    from kannon.db.queries import queries

    end = NOON + 60 * 24 * HOUR
    every: dict[str, Any] = {"domain": "d7.com", "from_time": NOON, "to_time": end, "types": []}
    every |= {"before_at": end, "before_id": "", "skip": 0, "take": 50}
    arguments = [every[variable] for variable in queries.driver_adapter.var_sorted[name]]
    statement: str = getattr(queries, name).sql
    async with busy_stats.acquire() as connection:
        plan = await connection.fetch("EXPLAIN " + statement, *arguments)
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan on stats_" not in text, text
    assert "Index" in text
