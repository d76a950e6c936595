"""No statement that names the pool or the statistics reads them from end to end, with 100,000 rows in each.

The statements come from the query files: a new one needs parameters here, or a reason in EXEMPT. Those of queue.sql
have their own test (test_queue_plans.py).
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kannon.db import inspect, metrics
from kannon.db.pool import Database
from kannon.db.queries import SQL, queries
from kannon.db.stats_read import Span, count_stats_by_hour, list_stats
from tests.bench.growth_data import Size, grow
from tests.support.explain import explain

if TYPE_CHECKING:
    from kannon.db.pool import Connection

ROWS = 100_000
MOST = 15_000
"""Rows that one node may read: a counted list has 10,000, a batch 2,500."""
FEW = 500
POOL = "sending_pool_emails"
NOW = datetime.now(UTC)
TENANT, MESSAGE = "t7.test", "msg_15@t7.test"
SPAN: dict[str, object] = {"domain": TENANT, "from_time": NOW - timedelta(days=80), "to_time": NOW}
PAGE: dict[str, object] = {
    "domain": TENANT,
    "from_time": NOW - timedelta(days=80),
    "before_at": NOW,
    "before_id": "",
    "skip": 0,
    "take": 20,
}
READER: dict[str, object] = {"email": "READER71@inbox21.test", "tag": "", "types": []}
PLACE: dict[str, object] = {"after_at": NOW - timedelta(days=1), "after_id": 0}
LIST: dict[str, object] = {"message_id": "", "email": "", "domain": "", "state": "", **PLACE, "skip": 0, "take": 20}
COUNT: dict[str, object] = {"message_id": "", "email": "", "domain": "", "state": "", "most": 10_000}
TAGGED: dict[str, object] = {"domain": TENANT, "tag": "news"}
FILTERS: tuple[dict[str, object], ...] = (
    {},
    {"domain": TENANT},
    {"message_id": MESSAGE},
    {"email": "Reader7@inbox7.test"},
    {"state": "sending"},
)
LISTS: tuple[dict[str, object], ...] = (*FILTERS, {"state": "scheduled", "skip": 5000}, {"state": "to_validate"})

EVENTS: dict[str, object] = {
    "domain": "",
    "message_id": "",
    "email": "",
    "types": [],
    "tag": "",
    "scan": 10_000,
    "take": 100,
}
EVENT_LISTS: tuple[dict[str, object], ...] = (
    {},
    {"domain": TENANT, "types": ["opened"]},
    {"domain": "t0.test", "types": ["complained"]},
    {"domain": TENANT, "message_id": MESSAGE},
)

PLANNED: dict[str, list[dict[str, object]]] = {
    "count_waiting": [COUNT | each for each in FILTERS],
    "list_waiting": [LIST | each for each in LISTS],
    "count_tagged_waiting": [COUNT | TAGGED],
    "list_tagged_waiting": [LIST | TAGGED],
    "count_deliveries": [{"most": 10_000}],
    "retry_now": [
        {"delivery_id": 7, "message_id": "", "domain": "", "destinations": []},
        {"delivery_id": 0, "message_id": MESSAGE, "domain": "", "destinations": []},
        {"delivery_id": 0, "message_id": "", "domain": TENANT, "destinations": ["inbox7.test"]},
    ],
}
"""After keep_to_indexes."""
CASES: dict[str, list[dict[str, object]]] = {
    "count_events_by_type": [{"message_id": MESSAGE}],
    "count_clicks_by_link": [{"message_id": MESSAGE, "take": 100}],
    "count_engagement_by_hour": [{"message_id": MESSAGE}],
    "count_stats": [SPAN | {"types": []}, SPAN | {"types": ["opened", "bounced"]}],
    "count_stats_by_hour": [SPAN],
    "count_tagged_stats": [SPAN | TAGGED | {"types": ["bounced"]}],
    "count_tagged_stats_by_hour": [SPAN | TAGGED],
    "count_stats_of_batch": [SPAN | {"message_id": MESSAGE, "email": "", "tag": "", "types": [], "most": 10_000}],
    "count_waiting_by_state": [{"message_id": MESSAGE}],
    "delete_unneeded_batches": [{"ids": [MESSAGE]}],
    "estimate_deliveries": [{"pages": 100}],
    "find_newest_position": [{}],
    "find_batch_summary": [{"message_id": MESSAGE}],
    "find_delivery_id": [{"message_id": MESSAGE, "email": "reader7@inbox7.test"}],
    "find_stats_page": [SPAN | {"skip": 5000}],
    "find_tagged_stats_page": [SPAN | TAGGED | {"skip": 5000}],
    "find_waiting": [{"delivery_id": 7}],
    "insert_webhook_replay": [
        {"endpoint_id": "whe_1", "types": [], **SPAN},
        {"endpoint_id": "whe_1", "types": ["delivery.bounced"], **SPAN},
    ],
    "list_batches_after": [
        {
            "domain": domain,
            "tag": "",
            "from_time": NOW - timedelta(days=400),
            "before_at": NOW,
            "before_id": "",
            "take": 50,
        }
        for domain in ("", TENANT)
    ],
    "list_batches": [SPAN | {"skip": 0, "take": 20}],
    "list_dkim_keys": [{"switch": timedelta(seconds=1), "domain": TENANT}],
    "list_finished_batches": [{"page": 100, "patience": timedelta(hours=1)}],
    "list_stats": [PAGE, PAGE | {"before_at": NOW - timedelta(days=40), "before_id": "e7"}],
    "list_stats_of_batch": [PAGE | {"message_id": MESSAGE, "email": "", "tag": "", "types": ["bounced"]}],
    "list_stats_of_types": [
        PAGE | {"types": types}
        for types in (["bounced"], ["opened", "complained"], ["delivered"], ["accepted", "clicked"])
    ],
    "list_events": [EVENTS | each | {"after": after} for each in EVENT_LISTS for after in (0, 50_000)],
    "list_events_newest_first": [EVENTS | each | {"before": 50_000} for each in EVENT_LISTS],
    "list_new_events": [{"after": 90_000, "take": 1000}],
    "list_tagged_batches": [SPAN | TAGGED | {"skip": 0, "take": 20}],
    "list_tagged_stats": [PAGE | TAGGED | {"types": []}, PAGE | TAGGED | {"types": ["bounced"]}],
    "list_timeline": [{"delivery_id": 7, "take": 1000}],
    "lock_cancelled": [{"page": 100}],
    "mark_cancelled": [{"message_id": MESSAGE, "delivery_id": 0}, {"message_id": "", "delivery_id": 7}],
    "reschedule_batch": [{"message_id": MESSAGE, "domain": TENANT, "scheduled_at": NOW}],
    "queue_replayed_webhook_events": [
        {
            "endpoint_id": "whe_1",
            "next_at": NOW - timedelta(days=40),
            "next_event_id": "",
            "to_time": NOW,
            "page": 500,
        }
    ],
    "prune_template_versions": [{"template_id": "template_7@t7.test", "keep": 100}],
    "release_held": [{"after": 0, "page": 100}],
    "template_is_needed": [{"template_id": "template_7@t7.test"}],
}
FILTERED: dict[str, list[dict[str, object]]] = {
    "count_stats_to_address": [SPAN | READER],
    "list_stats_to_address": [PAGE | READER, PAGE | READER | {"types": ["bounced"]}],
}
"""After keep_to_filters."""
EXEMPT = {
    "find_by_message_id": "reads at most 200,000 rows, for a search by a person",
    "insert_batches": "inserts",
    "insert_events": "inserts; test_stats_write.py has its plan",
    "list_detached_partitions": "reads the catalog",
    "list_stats_partitions": "reads the catalog",
}
OF_QUEUE = set(re.findall(r"^-- name: ([a-z_0-9]+)", (SQL / "queries" / "queue.sql").read_text(), re.MULTILINE))


def test_every_statement_that_names_the_tables_is_planned_here() -> None:
    named = {
        name
        for name in queries.available_queries
        if not name.endswith("_cursor")
        and re.search(rf"\b({POOL}|stats)\b|count_(?:tagged_)?events\(", getattr(queries, name).sql)
    }
    assert named - OF_QUEUE == {*PLANNED, *CASES, *FILTERED, *EXEMPT} - OF_QUEUE


@asynccontextmanager
async def undone(db: Database, setting: str) -> "AsyncIterator[Connection]":
    async with db.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        if setting:
            await getattr(queries, setting)(connection)
        try:
            yield connection
        finally:
            await transaction.rollback()


@pytest.fixture
async def grown(db: Database) -> Database:
    await grow(db, Size(ROWS, ROWS, tenants=30))
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO webhook_endpoints (id, domain, url, secret) VALUES ('whe_1', $1, 'https://x.test/', 'whsec_')",
            TENANT,
        )
        await connection.execute(
            "INSERT INTO webhook_batches (message_id, domain) SELECT message_id, domain FROM messages"
            " ORDER BY message_id LIMIT 20"
        )
    return db


async def test_no_statement_reads_all_rows(grown: Database) -> None:
    for setting, cases in (("keep_to_indexes", PLANNED), ("keep_to_filters", FILTERED), ("", CASES)):
        for name, each in [(name, each) for name, several in cases.items() for each in several]:
            async with undone(grown, setting) as connection:
                explained = await explain(connection, name, **each)
            tables = {t for t in explained.tables() if t == POOL or t.startswith("stats_2")}
            for table in tables:
                assert explained.rows(table) <= MOST, (name, each, table)
                # A partition with few rows, of the first week or the week to come, is read as a whole.
                assert table not in explained.scanned() or explained.rows(table) <= FEW, (name, each, table)
    await totals_agree(grown)


async def totals_agree(db: Database) -> None:
    """Counters, rows, estimates and pages of the same data."""
    span = Span(NOW - timedelta(days=80), NOW + timedelta(minutes=1))
    page, total = await list_stats(db, "t0.test", span, skip=0, take=1)
    [middle], _ = await list_stats(db, "t0.test", span, skip=30_000, take=1)
    assert sum(each.count for each in await count_stats_by_hour(db, "t0.test", span)) == total
    async with db.acquire() as connection:
        assert total == await connection.fetchval("SELECT count(*) FROM stats WHERE domain = 't0.test'")
        at = await connection.fetchval(
            "SELECT event_id FROM stats WHERE domain = 't0.test' ORDER BY at DESC, event_id DESC OFFSET 30000 LIMIT 1"
        )
    assert (len(page), middle.event_id) == (1, at)
    [scheduled] = await metrics.count_deliveries(db)
    assert 0.8 * ROWS <= scheduled.count <= 1.2 * ROWS
    waiting, count, _ = await inspect.list_waiting(db, domain="", message_id="", email="", state="", skip=0, take=20)
    assert (len(waiting), count) == (20, inspect.MAX_TOTAL)
