"""Domains with work get their places in a page in turn, however many they are and however long their backlog is."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from math import ceil

import anyio
import pytest

from kannon.db.pool import Database
from kannon.db.queue import ClaimCursor, claim_due, claim_to_validate
from tests.support.pool import fill_pool, insert_batch

NEW = "new.test"
Claim = Callable[[Database, int, ClaimCursor], Awaitable[list[str]]]


async def due(db: Database, page: int, cursor: ClaimCursor) -> list[str]:
    return [row.domain for row in await claim_due(db, page, cursor)]


async def to_validate(db: Database, page: int, cursor: ClaimCursor) -> list[str]:
    return [row.domain for row in await claim_to_validate(db, page, cursor)]


EACH = pytest.mark.parametrize(("claim", "state"), [(due, "scheduled"), (to_validate, "to_validate")])


async def pages_until_new(db: Database, claim: Claim, page: int, cursor: ClaimCursor) -> int:
    for number in range(1, 100):
        domains = await claim(db, page, cursor)
        assert len(domains) == page
        if NEW in domains:
            return number
    pytest.fail("the new tenant's mail waits for the others' backlogs")


@EACH
@pytest.mark.parametrize(("tenants", "page"), [(100, 50), (300, 200), (3000, 500)])
async def test_a_single_mail_waits_for_one_round_and_not_for_the_backlogs(
    db: Database, claim: Claim, state: str, tenants: int, page: int
) -> None:
    await fill_pool(db, tenants, 30_000, state=state)
    cursor = ClaimCursor()
    await claim(db, page, cursor)
    await insert_batch(db, ["a@x.org"], domain=NEW, state=state)
    assert await pages_until_new(db, claim, page, cursor) <= ceil((tenants + 1) / page)


@EACH
@pytest.mark.parametrize("tenants", [3, 150, 200, 300])
async def test_every_backlog_gets_as_many_places(db: Database, claim: Claim, state: str, tenants: int) -> None:
    """Also those that a page does not divide by: the next page begins where the last one ended."""
    await fill_pool(db, tenants, 6000, state=state)
    cursor = ClaimCursor()
    served: Counter[str] = Counter()
    for _ in range(6):
        served.update(await claim(db, 200, cursor))
    assert (len(served), set(served.values())) == (tenants, {1200 // tenants})


async def test_a_new_tenant_is_served_among_many_whose_mail_is_not_due(db: Database) -> None:
    await fill_pool(db, 1000, 3000, due=timedelta(hours=1))
    await insert_batch(db, [f"a{n}@x.org" for n in range(2000)], domain="many.test", state="scheduled")
    cursor = ClaimCursor()
    await claim_due(db, 100, cursor)
    await insert_batch(db, ["a@x.org"], domain=NEW, state="scheduled")
    assert await pages_until_new(db, due, 100, cursor) <= ceil(1002 / 200)


@EACH
async def test_each_of_several_processes_serves_the_domains_in_turn(db: Database, claim: Claim, state: str) -> None:
    await fill_pool(db, 100, 6000, state=state)
    cursors = [ClaimCursor() for _ in range(4)]
    served: Counter[str] = Counter()
    for _ in range(4):
        for cursor in cursors:
            served.update(await claim(db, 50, cursor))
    assert (len(served), set(served.values())) == (100, {8})


@EACH
async def test_processes_that_claim_at_the_same_time_serve_every_domain(db: Database, claim: Claim, state: str) -> None:
    await fill_pool(db, 100, 6000, state=state)
    served: set[str] = set()

    async def run() -> None:
        cursor = ClaimCursor()
        for _ in range(8):
            served.update(await claim(db, 50, cursor))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(run)
    assert len(served) == 100
