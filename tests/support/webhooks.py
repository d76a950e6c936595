"""Webhooks in tests: endpoints and events written directly, and the component running beside them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

from kannon.bus.bus import Bus
from kannon.components.webhooks import Webhooks
from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.db.webhooks import insert_endpoint
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.mail.webhook import Endpoint, WebhookType
from kannon.outbound.http_post import Poster
from tests.support.patience import patience
from tests.support.pool import insert_domain

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DOMAIN = "example.com"


async def add_endpoint(
    db: Database,
    url: str,
    *,
    name: str = "1",
    domain: str = DOMAIN,
    types: Sequence[WebhookType] = (),
    max_batch: int = 1,
) -> Endpoint:
    await insert_domain(db, domain)
    wanted = Endpoint(f"whe_{name}", domain, url, SECRET, types=tuple(types), max_batch=max_batch)
    endpoint = await insert_endpoint(db, wanted)
    assert endpoint is not None
    return endpoint


def event(
    number: int, kind: EventType = EventType.DELIVERED, *, domain: str = DOMAIN, at: datetime | None = None
) -> Event:
    return Event(
        delivery_event_id(number, 1, kind),
        kind,
        domain,
        f"msg_1@{domain}",
        f"a{number}@example.org",
        at or datetime.now(UTC),
        delivery_id=number,
        attempt=1,
        code=250,
        text="queued",
        host="mx.example.org",
    )


async def store(db: Database, events: Sequence[Event]) -> int:
    """As the stats component does. Returns how many were queued for endpoints."""
    await ensure_partitions(db, {week_of(each.at) for each in events})
    return sum([(await insert_events(db, events[i : i + 1000])).queued for i in range(0, len(events), 1000)])


async def waiting(db: Database) -> int:
    async with db.acquire() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM webhook_outbox")
        return count


async def wait_until_empty(db: Database) -> None:
    with patience():
        while await waiting(db):
            await anyio.sleep(0.01)


def make(
    db: Database,
    bus: Bus,
    *,
    owner: str = "this",
    clock: Callable[[], datetime] | None = None,
    seconds: float = 15.0,
    allow_private: bool = True,
) -> Webhooks:
    poster = Poster(allow_private=allow_private, seconds=seconds)
    return Webhooks(db, bus, poster, owner=owner, chance=lambda: 0.0, clock=clock)


class Runs(Protocol):
    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None: ...


@asynccontextmanager
async def running(webhooks: Runs) -> AsyncIterator[None]:
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(partial(webhooks.run, stop))
            try:
                yield
            finally:
                stop.set()
