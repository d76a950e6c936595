"""Webhook endpoints as an administrator sees and changes them, their attempts, and replays; and events that come from
elsewhere than the statistics (kannon.db.stats_write queues those).

In and out: kannon.mail.webhook's values.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.db.secrets import place_of_webhook
from kannon.mail.master_key import SecretDamaged
from kannon.mail.webhook import PREVIOUS_SECRET_VALID, Attempt, Endpoint, WebhookEvent, WebhookType

if TYPE_CHECKING:
    from kannon.db.pool import Connection

log = structlog.get_logger()

COUNTED = 100_000
"""Events waiting for an endpoint are counted to this number."""


@repeat_on_conflict
async def insert_endpoint(db: Database, endpoint: Endpoint) -> Endpoint | None:
    """None where there is no such domain."""
    async with db.acquire() as connection:
        row = await queries.insert_webhook_endpoint(
            connection,
            id=endpoint.id,
            domain=endpoint.domain,
            url=endpoint.url,
            types=[kind.value for kind in endpoint.types],
            max_batch=endpoint.max_batch,
            secret=db.cipher.encrypt(endpoint.secret, place_of_webhook(endpoint.id)),
        )
    return _found(db, row)


async def count_endpoints(db: Database, domain: str) -> int:
    async with db.acquire() as connection:
        count: int = await queries.count_webhook_endpoints(connection, domain=domain)
        return count


async def list_endpoints(db: Database, domain: str, take: int) -> list[Endpoint]:
    """Of all domains where `domain` is empty; the oldest first."""
    async with db.acquire() as connection:
        return [
            read_endpoint(db, row) async for row in queries.list_webhook_endpoints(connection, domain=domain, take=take)
        ]


async def find_endpoint(db: Database, endpoint_id: str) -> tuple[Endpoint, int] | None:
    """And the number of events that wait for it, to at most COUNTED."""
    async with db.acquire() as connection:
        row = await queries.find_webhook_endpoint(connection, id=endpoint_id, most=COUNTED)
    return None if row is None else (read_endpoint(db, row), row["waiting"])


@repeat_on_conflict
async def rotate_secret(db: Database, endpoint_id: str, secret: str) -> Endpoint | None:
    """The former secret signs too for PREVIOUS_SECRET_VALID."""
    encrypted = db.cipher.encrypt(secret, place_of_webhook(endpoint_id))
    async with db.acquire() as connection:
        return _found(
            db,
            await queries.rotate_webhook_secret(
                connection, id=endpoint_id, secret=encrypted, valid=PREVIOUS_SECRET_VALID
            ),
        )


@repeat_on_conflict
async def enable_endpoint(db: Database, endpoint_id: str) -> Endpoint | None:
    """What waits is due now, and has all its attempts before it."""
    async with db.acquire() as connection:
        return _found(db, await queries.enable_webhook_endpoint(connection, id=endpoint_id))


@repeat_on_conflict
async def disable_endpoint(db: Database, endpoint_id: str, reason: str) -> Endpoint | None:
    """What waits stays; new events are not queued. One that is off already keeps its reason."""
    async with db.acquire() as connection:
        return _found(db, await queries.disable_webhook_endpoint(connection, id=endpoint_id, reason=reason))


@repeat_on_conflict
async def delete_endpoint(db: Database, endpoint_id: str) -> bool:
    """With what waits for it. False where there is none."""
    async with db.acquire() as connection:
        return await queries.delete_webhook_endpoint(connection, id=endpoint_id) is not None


async def list_attempts(db: Database, endpoint_id: str, take: int) -> list[Attempt]:
    """The newest first."""
    async with db.acquire() as connection:
        rows = queries.list_webhook_attempts(connection, endpoint_id=endpoint_id, take=take)
        return [Attempt(**row) async for row in rows]


async def queue_event(connection: "Connection", domain: str, event: WebhookEvent, *, but_not: str = "") -> int:
    """For the endpoints of the domain that want it, except one. Returns how many do. In the caller's transaction, so
    that it is queued exactly where its cause is committed."""
    count: int = await queries.queue_webhook_event(
        connection,
        domain=domain,
        event_id=event.event_id,
        type=event.type.value,
        at=event.at,
        data=json.dumps(dict(event.data)),
        but_not=but_not,
    )
    return count


@repeat_on_conflict
async def queue_test(db: Database, endpoint_id: str, event_id: str, data: Mapping[str, str]) -> None:
    async with db.acquire() as connection:
        await queries.queue_webhook_test(
            connection, endpoint_id=endpoint_id, event_id=event_id, data=json.dumps(dict(data))
        )


@repeat_on_conflict
async def insert_replay(db: Database, endpoint: Endpoint, from_time: datetime, to_time: datetime) -> int:
    """The number of stored events in [from_time, to_time) that the endpoint gets again."""
    async with db.acquire() as connection:
        count: int = await queries.insert_webhook_replay(
            connection,
            endpoint_id=endpoint.id,
            domain=endpoint.domain,
            types=[kind.value for kind in endpoint.types],
            from_time=from_time,
            to_time=to_time,
        )
        return count


def _found(db: Database, row: Any) -> Endpoint | None:
    return None if row is None else read_endpoint(db, row)


def read_endpoint(db: Database, row: Any) -> Endpoint:
    """A secret that cannot be decrypted is empty."""
    place = place_of_webhook(row["id"])
    return Endpoint(
        id=row["id"],
        domain=row["domain"],
        url=row["url"],
        secret=_decrypt(db, row["secret"], place),
        types=tuple(WebhookType(kind) for kind in row["types"]),
        max_batch=row["max_batch"],
        previous_secret=_decrypt(db, row["previous_secret"], place),
        previous_until=row["previous_until"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        disabled_reason=row["disabled_reason"],
        last_success_at=row["last_success_at"],
        failing_since=row["failing_since"],
        failures=row["failures"],
        given_up=row["given_up"],
    )


def _decrypt(db: Database, stored: str, place: str) -> str:
    try:
        return db.cipher.decrypt(stored, place)
    except SecretDamaged as error:
        log.error("a secret cannot be decrypted", problem=str(error))
        return ""
