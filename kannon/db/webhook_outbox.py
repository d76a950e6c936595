"""The outbox of webhooks: an endpoint's queue belongs to the process that leases it, so that events need no claim of
their own: each is inserted once and deleted once.

A process that is killed keeps its leases until they end; what it had posted and not deleted is then posted again, with
the same ids.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.webhooks import queue_event, read_endpoint
from kannon.mail.webhook import GIVE_UP_ENDPOINT, Attempt, Endpoint, WebhookEvent, WebhookType

KEPT_ATTEMPTS = 100
LEASE = timedelta(seconds=30)
_REASON = f"no request succeeded for {GIVE_UP_ENDPOINT.days} days"
_REPLAY_PAGE = 500
_REPLAY_WAITING = 1000
_KEPT_WHILE_OFF = timedelta(days=30)


class QueuedEvent(NamedTuple):
    """`attempts`: those that failed."""

    id: int
    event: WebhookEvent
    attempts: int
    stored_at: datetime
    replay: bool


class Rescheduled(NamedTuple):
    id: int
    attempts: int
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class RequestResult:
    """What a request's result changes. `posted`: events that the endpoint has; `given_up`: those whose last attempt
    failed. `rest_until`: the endpoint gets nothing before. `gone`: it answered 410."""

    attempt: Attempt
    posted: Sequence[int] = ()
    rescheduled: Sequence[Rescheduled] = ()
    given_up: Sequence[int] = ()
    rest_until: datetime | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class WebhookCounts:
    """For the metrics."""

    waiting: int
    overdue_seconds: float
    working: int
    failing: int
    disabled: int
    broken_domains: int


@repeat_on_conflict
async def lease_endpoints(
    db: Database, owner: str, busy: Collection[str], page: int, now: datetime | None = None
) -> list[Endpoint]:
    """Those with something to do, except `busy`, which this process has at work. `now` None: PostgreSQL's clock."""
    async with db.acquire() as connection:
        rows = queries.lease_webhook_endpoints(
            connection, owner=owner, busy=list(busy), page=page, lease=LEASE, now=now
        )
        return [read_endpoint(db, row) async for row in rows]


@repeat_on_conflict
async def renew_leases(db: Database, owner: str, ids: Collection[str]) -> dict[str, Endpoint]:
    """Those that are still this process's, and on, as they are now."""
    async with db.acquire() as connection:
        rows = queries.renew_webhook_leases(connection, owner=owner, ids=list(ids), lease=LEASE)
        return {row["id"]: read_endpoint(db, row) async for row in rows}


@repeat_on_conflict
async def release_leases(db: Database, owner: str) -> None:
    async with db.acquire() as connection:
        await queries.release_webhook_leases(connection, owner=owner)


@repeat_on_conflict
async def release_lost_leases(db: Database, before: datetime) -> None:
    """Of processes that no longer run: those taken or renewed before that time."""
    async with db.acquire() as connection:
        await queries.release_lost_webhook_leases(connection, before=before, lease=LEASE)


async def list_due_events(
    db: Database, endpoint_id: str, busy: Collection[int], page: int, now: datetime | None = None
) -> list[QueuedEvent]:
    """New ones and retries first, replayed ones last."""
    async with db.acquire() as connection:
        rows = queries.list_due_webhook_events(connection, endpoint_id=endpoint_id, busy=list(busy), page=page, now=now)
        return [
            QueuedEvent(
                row["id"],
                WebhookEvent(row["event_id"], WebhookType(row["type"]), row["at"], json.loads(row["data"])),
                row["attempts"],
                row["stored_at"],
                row["replay"],
            )
            async for row in rows
        ]


@repeat_on_conflict
async def settle_requests(db: Database, results: Sequence[RequestResult]) -> list[Endpoint]:
    """A page of results, of any endpoints, in one transaction. Returns the endpoints that it switched off; the others
    of their domains get an event of it."""
    of_endpoint: dict[str, list[RequestResult]] = {}
    for result in results:
        of_endpoint.setdefault(result.attempt.endpoint_id, []).append(result)
    done = [id_ for result in results for id_ in (*result.posted, *result.given_up)]
    again = [each for result in results for each in result.rescheduled]
    kept = [r.attempt for some in of_endpoint.values() for r in some[-KEPT_ATTEMPTS:]]
    ids = sorted(of_endpoint)
    async with db.transaction() as connection:
        rows = queries.update_webhook_endpoints(
            connection,
            ids=ids,
            ats=[max(r.attempt.at for r in of_endpoint[id_]) for id_ in ids],
            succeeded=[any(r.attempt.succeeded for r in of_endpoint[id_]) for id_ in ids],
            failed=[any(not r.attempt.succeeded for r in of_endpoint[id_]) for id_ in ids],
            gone=[any(r.gone for r in of_endpoint[id_]) for id_ in ids],
            rests=[max((r.rest_until for r in of_endpoint[id_] if r.rest_until), default=None) for id_ in ids],
            given_up=[sum(len(r.given_up) for r in of_endpoint[id_]) for id_ in ids],
            give_up=GIVE_UP_ENDPOINT,
            reason=_REASON,
        )
        disabled = [row["id"] async for row in rows if row["disabled"]]
        if done:
            await queries.delete_webhook_events(connection, ids=done)
        if again:
            await queries.reschedule_webhook_events(
                connection,
                ids=[each.id for each in again],
                attempts=[each.attempts for each in again],
                next_attempts=[each.next_attempt_at for each in again],
            )
        await queries.insert_webhook_attempts(
            connection,
            endpoint_ids=[a.endpoint_id for a in kept],
            ats=[a.at for a in kept],
            request_ids=[a.request_id for a in kept],
            types=[a.type for a in kept],
            events=[a.events for a in kept],
            statuses=[a.status for a in kept],
            problems=[a.problem for a in kept],
            milliseconds=[a.milliseconds for a in kept],
            answers=[a.answer for a in kept],
        )
        await queries.delete_old_webhook_attempts(connection, endpoint_ids=ids, keep=KEPT_ATTEMPTS)
        switched_off = []
        for endpoint_id in disabled:
            endpoint = read_endpoint(db, await queries.find_webhook_endpoint(connection, id=endpoint_id, most=0))
            switched_off.append(endpoint)
            await queue_event(connection, endpoint.domain, _disabled_event(endpoint), but_not=endpoint.id)
    return switched_off


def _disabled_event(endpoint: Endpoint) -> WebhookEvent:
    at = endpoint.disabled_at
    assert at is not None, "it is off"  # noqa: S101  # for the type checker
    return WebhookEvent(
        f"{endpoint.id}.{int(at.timestamp())}.disabled",
        WebhookType.ENDPOINT_DISABLED,
        at,
        {
            "domain": endpoint.domain,
            "endpoint_id": endpoint.id,
            "url": endpoint.url,
            "reason": endpoint.disabled_reason,
        },
    )


@repeat_on_conflict
async def queue_replayed(db: Database, endpoint_id: str) -> bool:
    """Moves the next page of the endpoint's replay into the outbox, where few of an earlier page wait. Returns whether
    it did."""
    async with db.transaction() as connection:
        waiting = await queries.count_replayed_webhook_events(connection, endpoint_id=endpoint_id, most=_REPLAY_WAITING)
        replay = await queries.find_webhook_replay(connection, endpoint_id=endpoint_id)
        if replay is None or waiting >= _REPLAY_WAITING:
            return False
        last = await queries.queue_replayed_webhook_events(
            connection,
            endpoint_id=endpoint_id,
            next_at=replay["next_at"],
            next_event_id=replay["next_event_id"],
            to_time=replay["to_time"],
            page=_REPLAY_PAGE,
        )
        if last is None:
            await queries.delete_webhook_replay(connection, id=replay["id"])
        else:
            await queries.update_webhook_replay(
                connection, id=replay["id"], next_at=last["at"], next_event_id=last["event_id"]
            )
        return True


@repeat_on_conflict
async def clean_outbox(db: Database) -> dict[str, int]:
    """Deletes what no endpoint waits for any more: of removed endpoints, and of those that have been off for 30 days.
    Returns the number of the latter by endpoint: they are given up."""
    async with db.transaction() as connection:
        await queries.delete_lost_webhook_events(connection)
        rows = queries.give_up_old_webhook_events(connection, age=_KEPT_WHILE_OFF)
        return {row["id"]: row["count"] async for row in rows}


async def count_webhooks(db: Database, most: int = 100_000) -> WebhookCounts:
    async with db.acquire() as connection:
        row = await queries.count_webhook_events(connection, most=most)
    return WebhookCounts(**row)
