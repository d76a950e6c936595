"""The guard in a campaign of 2,000: claimed from the real pool, its outcomes stored as the stats component does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from kannon.db.cancellations import cancel_batch
from kannon.db.guard import PausedBatch, find_guard, update_guard
from kannon.db.pauses import end_pause, finish_pauses, insert_pause, list_pauses
from kannon.db.pool import Database
from kannon.db.queue import claim_due
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import REPORT, Event, EventType
from kannon.mail.guard import GuardOverrides, GuardRule
from kannon.mail.pauses import Scope
from tests.support.pool import insert_batch, insert_domain

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
CAMPAIGN = "msg_1@example.com"
SIZE = 2000
RULE = GuardRule()


def outcome(number: int, *, dead: bool = False) -> Event:
    kind = EventType.BOUNCED if dead else EventType.DELIVERED
    status, text = ("5.1.1", "no such user") if dead else ("", "")
    return Event(
        f"{number}.1.{kind}",
        kind,
        "example.com",
        CAMPAIGN,
        f"u{number}@x.org",
        AT,
        delivery_id=number,
        permanent=dead,
        enhanced_status=status,
        text=text,
        stage="rcpt" if dead else "",
    )


def complaint(number: int) -> Event:
    kind = EventType.COMPLAINED
    return Event(
        f"{number}.complained", kind, "example.com", CAMPAIGN, f"u{number}@x.org", AT, delivery_id=number, stage=REPORT
    )


@dataclass
class Campaign:
    """Claims page after page and stores their outcomes, until nothing is due."""

    db: Database
    is_dead: Callable[[int], bool] = lambda number: False
    complains: Callable[[int], bool] = lambda number: False
    sent: int = 0
    paused: list[PausedBatch] = field(default_factory=list)

    async def start(self) -> None:
        await ensure_partitions(self.db, [week_of(AT)])
        await insert_batch(self.db, [f"u{n}@x.org" for n in range(SIZE)], state="scheduled")

    async def run(self, page: int = 100) -> None:
        while claimed := await claim_due(self.db, page):
            events = []
            for _ in claimed:
                self.sent += 1
                events.append(outcome(self.sent, dead=self.is_dead(self.sent)))
                if self.complains(self.sent):
                    events.append(complaint(self.sent))
            await self.store(events)

    async def store(self, events: list[Event]) -> None:
        stored = await insert_events(self.db, events, guard=RULE)
        self.paused += stored.paused


async def test_a_dead_list_stops_after_two_hundred_outcomes_and_goes_on_when_resumed(db: Database) -> None:
    campaign = Campaign(db, is_dead=lambda number: number % 8 == 0)
    await campaign.start()
    await campaign.run()
    assert campaign.sent == 200
    assert [each.trip.text for each in campaign.paused] == ["25 of 200 addresses are dead (12.5 %; the limit is 10 %)"]
    [pause] = await list_pauses(db)
    assert (pause.scope, pause.subject, pause.reason) == (Scope.BATCH, CAMPAIGN, campaign.paused[0].trip.text)
    await end_pause(db, Scope.BATCH, CAMPAIGN)
    await finish_pauses(db)
    await campaign.run()
    assert (campaign.sent, len(campaign.paused), await list_pauses(db)) == (SIZE, 1, [])


async def test_each_outcome_by_itself_trips_at_the_first_count_that_is_too_much(db: Database) -> None:
    """21 dead addresses: at outcome 200, which is not dead itself; never one outcome earlier."""
    campaign = Campaign(db)
    await campaign.start()
    await campaign.store([outcome(n, dead=n <= 21) for n in range(1, 199)])
    assert not campaign.paused
    await campaign.store([outcome(199)])
    assert not campaign.paused
    await campaign.store([outcome(200)])
    assert len(campaign.paused) == 1


async def test_ten_percent_dead_and_three_in_a_thousand_complaints_are_borne(db: Database) -> None:
    campaign = Campaign(db, is_dead=lambda number: number % 10 == 0, complains=lambda number: number in {3, 500, 999})
    await campaign.start()
    await campaign.run()
    assert (campaign.sent, campaign.paused, await list_pauses(db)) == (SIZE, [], [])


async def test_the_fourth_complaint_of_a_thousand_delivered_pauses(db: Database) -> None:
    campaign = Campaign(db, complains=lambda number: number in {1, 2, 3, 4})
    await campaign.start()
    await campaign.run()
    assert campaign.sent == 1000
    assert [e.trip.text for e in campaign.paused] == ["4 of 1000 recipients complained (0.4 %; the limit is 0.3 %)"]


async def test_repeated_outcomes_and_other_batches_do_not_count(db: Database) -> None:
    campaign = Campaign(db)
    await campaign.start()
    page = [outcome(n, dead=True) for n in range(1, 151)]
    for _ in range(3):
        await campaign.store(page)
    assert not campaign.paused
    # A delivered mail whose bounce comes as a report is one outcome, and a dead address.
    await campaign.store([outcome(n) for n in range(151, 201)])
    assert [each.trip.text for each in campaign.paused] == ["150 of 200 addresses are dead (75 %; the limit is 10 %)"]


async def test_a_report_after_the_delivery_makes_an_address_dead_and_no_second_outcome(db: Database) -> None:
    campaign = Campaign(db)
    await campaign.start()
    await campaign.store([outcome(n) for n in range(1, 201)])
    reports = [outcome(n, dead=True) for n in range(1, 22)]
    reports = [
        Event(
            f"{e.delivery_id}.report", e.type, e.domain, e.message_id, e.email, AT, delivery_id=e.delivery_id,
            permanent=True, enhanced_status="5.1.1", text="no such user", stage=REPORT,
        )
        for e in reports
    ]  # fmt: skip
    await campaign.store(reports[:20])
    assert not campaign.paused
    await campaign.store(reports[20:])
    assert [each.trip.text for each in campaign.paused] == ["21 of 200 addresses are dead (10.5 %; the limit is 10 %)"]


@pytest.mark.parametrize("stage", ["mail", "data"])
async def test_refusals_of_the_sender_or_the_mail_are_not_dead_addresses(db: Database, stage: str) -> None:
    campaign = Campaign(db)
    await campaign.start()
    refused = [
        Event(
            f"{n}.1.bounced", EventType.BOUNCED, "example.com", CAMPAIGN, f"u{n}@x.org", AT, delivery_id=n,
            permanent=True, code=550, enhanced_status="5.7.1", text="blocked by policy", stage=stage,
        )
        for n in range(1, 401)
    ]  # fmt: skip
    await campaign.store(refused)
    assert not campaign.paused


async def test_small_and_cancelled_batches_are_not_counted(db: Database) -> None:
    await ensure_partitions(db, [week_of(AT)])
    await insert_batch(db, [f"u{n}@x.org" for n in range(19)], state="scheduled")
    await insert_events(db, [outcome(1)], guard=RULE)
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM batch_outcomes") == 0
    await insert_batch(db, [f"u{n}@x.org" for n in range(300)], name="2", state="scheduled")
    await cancel_batch(db, "msg_2@example.com")
    events = [
        Event(f"x{n}", EventType.BOUNCED, "example.com", "msg_2@example.com", f"u{n}@x.org", AT, delivery_id=5000 + n,
              permanent=True, enhanced_status="5.1.1", stage="rcpt")
        for n in range(250)
    ]  # fmt: skip
    assert (await insert_events(db, events, guard=RULE)).paused == ()


async def test_a_batch_that_an_operator_paused_gets_the_reason_and_one_resume_ends_both(db: Database) -> None:
    campaign = Campaign(db)
    await campaign.start()
    await insert_pause(db, Scope.BATCH, CAMPAIGN)
    await campaign.store([outcome(n, dead=True) for n in range(1, 201)])
    [pause] = await list_pauses(db)
    assert pause.reason == campaign.paused[0].trip.text
    assert (await insert_pause(db, Scope.BATCH, CAMPAIGN)).since == pause.since
    assert (await list_pauses(db))[0].reason == pause.reason
    await end_pause(db, Scope.BATCH, CAMPAIGN)
    await finish_pauses(db)
    await campaign.store([outcome(n, dead=True) for n in range(201, 301)])
    assert await list_pauses(db) == []


async def test_a_domain_differs_from_the_configuration(db: Database) -> None:
    await insert_domain(db)
    assert await find_guard(db, "example.com") == GuardOverrides()
    assert await find_guard(db, "absent.org") is None
    assert await update_guard(db, "absent.org", GuardOverrides()) is None
    assert await update_guard(db, "example.com", GuardOverrides(enabled=False)) == GuardOverrides(enabled=False)
    campaign = Campaign(db, is_dead=lambda number: number % 5 == 0)
    await campaign.start()
    await campaign.store([outcome(n, dead=True) for n in range(1, 251)])
    assert not campaign.paused
    await update_guard(db, "example.com", GuardOverrides(dead_percent=98))
    await campaign.store([outcome(251, dead=True)])
    assert len(campaign.paused) == 1
