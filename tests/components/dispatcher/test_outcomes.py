"""What outcomes do to rows: settled once, rescheduled within the budget, ended when it is spent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kannon.components.dispatcher.outcomes import Outcomes
from kannon.db.pool import Database
from kannon.db.queue import claim_due, return_throttled
from kannon.errors import Unavailable
from kannon.mail.envelope import ThrottledDelivery
from kannon.mail.event import Event, EventType, delivery_event_id
from kannon.mail.retry import RetryBudget
from kannon.wire.events import encode_event
from tests.support.pool import insert_batch, states

BUDGET = RetryBudget(window=timedelta(hours=24), first=timedelta(minutes=5), max_delay=timedelta(hours=4))


class Page:
    """Messages that remember how they were settled; the consume loop has tests of its own."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.word = ""

    async def ack(self) -> None:
        self.word = "ack"

    async def dead_letter(self, reason: str) -> None:
        self.word = f"dead_letter {reason}"


class EventLog:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away = False

    async def publish_events(self, events: Sequence[Event]) -> None:
        if self.away:
            raise Unavailable("NATS: away")
        self.events += events


def outcome(delivery_id: int, kind: EventType, attempt: int = 1, **fields: object) -> Event:
    event = Event(
        delivery_event_id(delivery_id, attempt, kind),
        kind,
        "example.com",
        "msg_1@example.com",
        "a@example.org",
        datetime.now(UTC),
        delivery_id=delivery_id,
        attempt=attempt,
    )
    return replace(event, **fields)  # type: ignore[arg-type]  # a test names them


def make(db: Database, event_log: EventLog, now: datetime | None = None) -> Outcomes:
    at = now or datetime.now(UTC)
    return Outcomes(db, event_log, budget=BUDGET, clock=lambda: at, chance=lambda: 0.5)


async def handle(outcomes: Outcomes, events: Sequence[Event]) -> list[str]:
    page = [Page(encode_event(e)) for e in events]
    await outcomes.handle_page(page)  # type: ignore[arg-type]  # the two verbs that are used
    return [message.word for message in page]


async def test_delivered_and_bounced_end_a_delivery(db: Database) -> None:
    first, second, third = await insert_batch(db, ["a@x.org", "b@x.org", "c@x.org"], state="sending")
    event_log = EventLog()
    page = [outcome(first, EventType.DELIVERED), outcome(second, EventType.BOUNCED, code=550, permanent=True)]
    assert await handle(make(db, event_log), page) == ["ack", "ack"]
    assert await states(db) == {third: "sending"}
    assert await handle(make(db, event_log), page) == ["ack", "ack"]
    assert event_log.events == []


async def test_an_error_is_tried_again_later_and_says_why(db: Database) -> None:
    [delivery] = await insert_batch(db, ["a@x.org"], state="sending")
    now = datetime.now(UTC)
    error = outcome(delivery, EventType.ERROR, code=451, text="come back", stage="rcpt", host="mx.x.org")
    await handle(make(db, EventLog(), now), [error])
    async with db.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM sending_pool_emails")
    assert row is not None
    assert (row["state"], row["attempts"], row["last_code"], row["last_stage"]) == ("scheduled", 1, 451, "rcpt")
    assert (row["last_host"], row["last_text"]) == ("mx.x.org", "come back")
    assert row["next_attempt_at"] == now + timedelta(minutes=5)
    assert await claim_due(db, 10) == []


async def test_a_redelivered_error_of_an_older_attempt_changes_nothing(db: Database) -> None:
    [delivery] = await insert_batch(db, ["a@x.org"], state="sending")
    error = outcome(delivery, EventType.ERROR, code=451)
    await handle(make(db, EventLog()), [error])
    before = await states(db)
    later = datetime.now(UTC) + timedelta(hours=2)
    await handle(make(db, EventLog(), later), [error])
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT max(next_attempt_at) < $1 FROM sending_pool_emails", later)
    assert await states(db) == before


@pytest.mark.parametrize(
    ("event_code", "earlier_code", "kind", "code"),
    [
        (451, 0, EventType.BOUNCED, 451),
        (0, 421, EventType.BOUNCED, 421),
        (0, 0, EventType.FAILED, 0),
        (250, 0, EventType.FAILED, 0),  # to DATA, where it is no answer
    ],
)
async def test_out_of_budget_it_ends_as_what_the_servers_said(
    db: Database, event_code: int, earlier_code: int, kind: EventType, code: int
) -> None:
    """However long ago: between the answer and the end lie an attempt without one and a wait for room."""
    [delivery] = await insert_batch(db, ["a@x.org"], state="sending", due=-timedelta(hours=23))
    event_log = EventLog()
    for attempt, (earlier, text) in enumerate([(earlier_code, "busy"), (0, "no answer")], 1):
        error = outcome(delivery, EventType.ERROR, attempt=attempt, code=earlier, text=text)
        await handle(make(db, event_log), [error])
    async with db.acquire() as connection:
        await connection.execute("UPDATE sending_pool_emails SET state = 'sending', claimed_at = now()")
    await return_throttled(db, [ThrottledDelivery(delivery, 0, 5.0)])
    assert event_log.events == []
    error = outcome(delivery, EventType.ERROR, attempt=10, code=event_code, text="no answer again")
    assert await handle(make(db, event_log, datetime.now(UTC) + timedelta(hours=2)), [error]) == ["ack"]
    [ending] = event_log.events
    assert (ending.type, ending.code, ending.permanent, ending.delivery_id) == (kind, code, False, delivery)
    assert ending.event_id == delivery_event_id(delivery, 10, kind)
    if kind is EventType.FAILED:
        assert ending.text == "gave up after 10 attempts: no answer again"
    else:
        assert ending.text == ("busy" if earlier_code else "no answer again")
    assert await states(db) == {}


async def test_mail_that_no_server_may_have_without_requiretls_is_bounced(db: Database) -> None:
    """RFC 8689 §4.2.1."""
    [delivery] = await insert_batch(db, ["a@x.org"], state="sending", due=-timedelta(hours=25))
    event_log = EventLog()
    text = "ehlo: the server does not offer REQUIRETLS"
    error = outcome(delivery, EventType.ERROR, attempt=10, enhanced_status="4.7.30", text=text)
    await handle(make(db, event_log, datetime.now(UTC) + timedelta(hours=2)), [error])
    [ending] = event_log.events
    assert (ending.type, ending.code, ending.enhanced_status, ending.text) == (EventType.BOUNCED, 550, "5.7.30", text)


async def test_nothing_is_deleted_before_its_ending_is_published(db: Database) -> None:
    [delivery] = await insert_batch(db, ["a@x.org"], state="sending", due=-timedelta(hours=25))
    event_log = EventLog()
    event_log.away = True
    with pytest.raises(Unavailable):
        await handle(make(db, event_log), [outcome(delivery, EventType.ERROR, attempt=10, code=451)])
    assert await states(db) == {delivery: "sending"}


async def test_an_asynchronous_bounce_cancels_a_queued_delivery(db: Database) -> None:
    [delivery] = await insert_batch(db, ["a@x.org"], state="scheduled")
    await handle(make(db, EventLog()), [outcome(delivery, EventType.BOUNCED, attempt=0, code=550, permanent=True)])
    assert await states(db) == {}


async def test_what_is_no_event_becomes_a_dead_letter_and_its_page_goes_on(db: Database) -> None:
    [delivery] = await insert_batch(db, ["a@x.org"], state="sending")
    page = [Page(b"\xff junk"), Page(encode_event(outcome(delivery, EventType.DELIVERED)))]
    await make(db, EventLog()).handle_page(page)  # type: ignore[arg-type]
    assert [m.word.split()[0] for m in page] == ["dead_letter", "ack"]
    assert await states(db) == {}
