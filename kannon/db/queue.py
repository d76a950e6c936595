"""The queue of deliveries: claims, settlements and reclaims, a page at a time."""

import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.batch import Delivery, Recipient
from kannon.mail.envelope import ThrottledDelivery
from kannon.mail.tracking import TrackingMode, TrackingPolicy

if TYPE_CHECKING:
    from kannon.db.pool import Connection


@dataclass(frozen=True, slots=True)
class UnvalidatedDelivery:
    """A claimed row whose address is not checked yet."""

    id: int
    message_id: str
    domain: str
    email: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryRef:
    """The batch and recipient of a delivery id, waiting or ended."""

    domain: str
    message_id: str
    email: str


@dataclass(frozen=True, slots=True)
class SendingDelivery:
    """A row waiting for its outcome, locked by the transaction that found it. `answer_code`: the last SMTP reply code
    of any attempt, 0 where no server has replied."""

    id: int
    message_id: str
    domain: str
    email: str
    attempts: int
    due_at: datetime
    answer_code: int
    answer_text: str
    found_at: datetime
    """By PostgreSQL's clock, as all times of the queue."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """A row that is retried at `next_attempt_at`, and the reason."""

    id: int
    attempts: int
    next_attempt_at: datetime
    code: int
    stage: str
    host: str
    text: str


class Place(NamedTuple):
    """A tenant's mail for one destination domain."""

    domain: str
    destination: str


@dataclass(frozen=True, slots=True)
class ThrottledDestination:
    """Throttled for `seconds`, then planned at `rate` mails a second over `spread` seconds. `reason` empty: it has no
    free connection."""

    place: Place
    seconds: float
    rate: float
    spread: float
    reason: str = ""


@dataclass(slots=True)
class ClaimCursor:
    """The domain after which the next claim begins: domains with work take turns. Each claiming process has its own."""

    domain: str = ""


class Attempts(NamedTuple):
    """How many attempts of a delivery have an outcome, and its requeue count."""

    attempts: int
    requeues: int


@asynccontextmanager
async def keep_to_indexes(db: Database) -> AsyncIterator["Connection"]:
    """A transaction whose statements find rows by an index, however wrong PostgreSQL's statistics are."""
    async with db.transaction() as connection:
        await queries.keep_to_indexes(connection)
        yield connection


@repeat_on_conflict
async def claim_to_validate(db: Database, page: int, cursor: ClaimCursor | None = None) -> list[UnvalidatedDelivery]:
    """Moves up to `page` rows to validating, fair between domains. Committed when it returns. Without a cursor each
    claim begins with the first domain."""
    cursor = cursor or ClaimCursor()
    async with keep_to_indexes(db) as connection:
        rows = [row async for row in queries.claim_to_validate(connection, page=page, cursor=cursor.domain)]
    for row in rows[:1]:
        cursor.domain = row["cursor"]
    return [
        UnvalidatedDelivery(row["id"], row["message_id"], row["domain"], row["email"], row["created_at"])
        for row in rows
    ]


@repeat_on_conflict
async def settle_validated(db: Database, *, valid: Sequence[int], rejected: Sequence[int]) -> None:
    """Valid rows become scheduled, rejected ones are deleted, together."""
    async with keep_to_indexes(db) as connection:
        if valid:
            await queries.settle_validated(connection, ids=valid)
        if rejected:
            await queries.delete_validated(connection, ids=rejected)


@repeat_on_conflict
async def release_validating(db: Database, ids: Sequence[int]) -> None:
    """Back to to_validate; rows that were settled meanwhile stay as they are."""
    async with db.acquire() as connection:
        await queries.release_validating(connection, ids=ids)


@repeat_on_conflict
async def reclaim_validating(db: Database, lease: timedelta) -> int:
    """Returns rows whose claim outlived the lease; their number."""
    async with db.acquire() as connection:
        return _affected(await queries.reclaim_validating(connection, lease=lease))


@repeat_on_conflict
async def claim_due(db: Database, page: int, cursor: ClaimCursor | None = None) -> list[Delivery]:
    """Moves up to `page` due rows to sending, fair between domains, a domain's oldest first. Paused rows become held
    instead. Committed when it returns. Without a cursor each claim begins with the first domain."""
    cursor = cursor or ClaimCursor()
    while True:
        async with keep_to_indexes(db) as connection:
            rows = [row async for row in queries.claim_due(connection, page=page, cursor=cursor.domain)]
        for row in rows[:1]:
            cursor.domain = row["cursor"]
        claimed = [_delivery(row) for row in rows if not row["held"]]
        if claimed or not rows:
            return claimed


async def seconds_to_next_due(db: Database) -> float:
    """Until the next delivery is due, negative where one is; infinite where none is scheduled."""
    async with db.acquire() as connection:
        seconds: float | None = await queries.seconds_to_next_due(connection)
    return math.inf if seconds is None else seconds


async def any_sending(db: Database) -> bool:
    """Whether a delivery is claimed by a dispatcher, or is in the streams behind it."""
    async with db.acquire() as connection:
        found: bool = await queries.any_sending(connection)
    return found


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row["id"],
        message_id=row["message_id"],
        domain=row["domain"],
        recipient=Recipient(
            row["email"],
            json.loads(row["fields"]),
            TrackingPolicy(TrackingMode(row["opens"]), TrackingMode(row["links"])),
        ),
        secret=row["secret"].bytes,
        attempt=row["attempts"] + 1,
        due_at=row["due_at"],
        requeues=row["turn"],
    )


@repeat_on_conflict
async def release_sending(db: Database, ids: Sequence[int], *, delay: timedelta) -> None:
    """Back to scheduled without an attempt: no envelope of them was published."""
    async with keep_to_indexes(db) as connection:
        await queries.release_sending(connection, ids=ids, delay=delay)


@repeat_on_conflict
async def return_throttled(db: Database, page: Sequence[ThrottledDelivery]) -> dict[int, Place]:
    """Back to scheduled without an attempt, except rows with another requeue count. The tenant and the destination of
    each."""
    async with keep_to_indexes(db) as connection:
        rows = queries.return_throttled(
            connection,
            ids=[p.delivery_id for p in page],
            turns=[p.requeues for p in page],
            seconds=[p.seconds for p in page],
            reasons=[p.reason for p in page],
        )
        return {row["id"]: Place(row["domain"], row["destination"]) async for row in rows}


@repeat_on_conflict
async def delay_throttled(db: Database, throttled: Sequence[ThrottledDestination], *, behind: int, window: int) -> int:
    """Delays the due mail for these destinations, among the next `window` rows of its domain; returns its number."""
    async with keep_to_indexes(db) as connection:
        done = await queries.delay_throttled(
            connection,
            domains=[each.place.domain for each in throttled],
            destinations=[each.place.destination for each in throttled],
            seconds=[each.seconds for each in throttled],
            rates=[each.rate for each in throttled],
            spreads=[each.spread for each in throttled],
            reasons=[each.reason for each in throttled],
            behind=behind,
            window=window,
        )
    return _affected(done)


async def read_clock(db: Database) -> datetime:
    """PostgreSQL's, which dates the claims and so measures their age."""
    async with db.acquire() as connection:
        now: datetime = await queries.read_clock(connection)
    return now


class FirstClock:
    """PostgreSQL's time at the first call, and the same at each later one."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._at: datetime | None = None

    async def __call__(self) -> datetime:
        """Raises Unavailable."""
        if self._at is None:
            self._at = await read_clock(self._db)
        return self._at


@repeat_on_conflict
async def bring_back(db: Database, *, first: timedelta, most: timedelta) -> int:
    """After the clock went back: nothing waits longer than its retry delay (`first`, doubled up to `most`), or until
    the time that a later clock wrote. Sends that were scheduled keep their time. The number of deliveries; the call may
    be repeated."""
    async with db.transaction() as connection:
        await queries.date_claims_back(connection)
        return _affected(await queries.bring_back(connection, first=first, most=most))


@repeat_on_conflict
async def reclaim_sending(db: Database, claimed_before: datetime) -> int:
    """Returns rows claimed before that time (by `read_clock`), whose envelope no longer exists; their number."""
    async with db.acquire() as connection:
        return _affected(await queries.reclaim_sending(connection, claimed_before=claimed_before))


async def find_attempts(db: Database, ids: Sequence[int]) -> dict[int, Attempts]:
    """By delivery id; a delivery that has ended is absent."""
    async with keep_to_indexes(db) as connection:
        rows = queries.find_attempts(connection, ids=ids)
        return {row["id"]: Attempts(row["attempts"], row["turn"]) async for row in rows}


@repeat_on_conflict
async def release_recent(db: Database, claimed_before: datetime, span: timedelta) -> int:
    """Returns rows claimed within `span` before that time to the queue, without another requeue count; their number.
    The outcomes published by then are settled before this call. `span` is shorter than the stream's memory of ids."""
    async with keep_to_indexes(db) as connection:
        return _affected(await queries.release_recent(connection, claimed_before=claimed_before, span=span))


async def find_delivery(db: Database, delivery_id: int) -> DeliveryRef | None:
    """Any delivery of this installation, as far back as the statistics reach."""
    async with db.acquire() as connection:
        row = await queries.find_delivery(connection, delivery_id=delivery_id)
        return None if row is None else DeliveryRef(row["domain"], row["message_id"], row["email"])


class Settlement:
    """Rows found here stay locked until the transaction around them ends."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def find(self, ids: Sequence[int]) -> dict[int, SendingDelivery]:
        """By id; settled rows are absent."""
        rows = [SendingDelivery(*row) async for row in queries.find_sending(self._connection, ids=ids)]
        return {row.id: row for row in rows}

    async def delete(self, ids: Sequence[int]) -> None:
        await queries.delete_deliveries(self._connection, ids=ids)

    async def reschedule(self, deferrals: Sequence[Deferral]) -> None:
        await queries.reschedule_deliveries(
            self._connection,
            ids=[d.id for d in deferrals],
            attempts=[d.attempts for d in deferrals],
            next_attempts=[d.next_attempt_at for d in deferrals],
            codes=[d.code for d in deferrals],
            stages=[d.stage for d in deferrals],
            hosts=[d.host for d in deferrals],
            texts=[d.text for d in deferrals],
        )


@asynccontextmanager
async def settlement(db: Database) -> AsyncIterator[Settlement]:
    """One transaction over a page of outcomes: `async with settlement(db) as s: rows = await s.find(ids) …`."""
    async with keep_to_indexes(db) as connection:
        yield Settlement(connection)


def _affected(status: str) -> int:
    """`UPDATE 12` → 12."""
    return int(status.rsplit(" ", 1)[1])
