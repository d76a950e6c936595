"""Suppressions in the database: written with their events, once; the longer and heavier one wins."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.db.suppressions import (
    Place,
    delete_expired_suppressions,
    delete_forgotten_bounces,
    delete_suppressions,
    find_suppressed,
    find_suppressions,
    insert_suppressions,
    list_suppressions,
    update_suppression_enabled,
)
from kannon.mail.event import Event, EventType
from kannon.mail.suppression import Cause, Suppression, SuppressionRule, address_key
from tests.support.pool import counters, insert_domain

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DOMAIN = "example.com"
RULE = SuppressionRule()


@pytest.fixture(autouse=True)
async def domain(db: Database) -> None:
    await insert_domain(db)
    await ensure_partitions(db, {week_of(AT + timedelta(days=days)) for days in (0, 4, 8, 11, 181, 184)})


def bounce(number: int, email: str = "bob@example.org", status: str = "5.1.1") -> Event:
    return Event(
        event_id=f"{number}.1.bounced",
        type=EventType.BOUNCED,
        domain=DOMAIN,
        message_id=f"msg_1@{DOMAIN}",
        email=email,
        at=AT,
        delivery_id=number,
        permanent=True,
        code=550,
        enhanced_status=status,
        text="No such user",
        host="mx.example.org",
    )


def complaint(number: int, email: str = "bob@example.org") -> Event:
    kind = EventType.COMPLAINED
    return replace(bounce(number, email), event_id=f"{number}.report.x.complained", type=kind, permanent=False, code=0)


async def store(db: Database, events: Sequence[Event], rule: SuppressionRule = RULE) -> frozenset[str]:
    stored = await insert_events(db, events, [s for s in map(rule.apply, events) if s])
    return stored.suppressed


async def suppressed(db: Database, *emails: str, tag: str = "") -> set[str]:
    async with db.acquire() as connection:
        found = await find_suppressed(connection, {(DOMAIN, tag): [address_key(e) for e in emails]})
    return set(found[DOMAIN, tag])


async def live(db: Database, cause: Cause | None = None) -> list[tuple[str, str]]:
    page, total = await list_suppressions(db, DOMAIN, cause=cause, after=Place(), take=100)
    assert total == len(page)
    return [(s.email, s.cause.value) for s in page]


async def test_a_dead_bounce_and_a_complaint_suppress_their_address_with_their_event(db: Database) -> None:
    page = [bounce(1, "Bob@Example.org"), bounce(2, "full@example.org", "5.2.2"), complaint(3, "ann@example.org")]
    assert await store(db, page) == {"1.1.bounced", "3.report.x.complained"}
    assert await counters(db) == {"bounced": 2, "complained": 1}
    assert await live(db) == [("ann@example.org", "complained"), ("Bob@Example.org", "bounced")]
    assert await suppressed(db, "BOB@example.org", "full@example.org", "eve@example.org") == {"bob@example.org"}
    assert await find_suppressions(db, DOMAIN, "bob@EXAMPLE.org") == [RULE.apply(page[0])]


async def test_a_redelivery_brings_nothing_back_that_was_removed(db: Database) -> None:
    page = [bounce(1), complaint(2, "ann@example.org")]
    assert len(await store(db, page)) == 2
    assert await delete_suppressions(db, DOMAIN, ["BOB@example.org", "none@example.org"]) == ["bob@example.org"]
    assert await store(db, page) == frozenset()
    assert await live(db) == [("ann@example.org", "complained")]
    # It bounced again, after it was removed: that is news.
    assert await store(db, [bounce(3)]) == {"3.1.bounced"}


async def test_the_first_bounce_stays_and_a_complaint_outweighs_it(db: Database) -> None:
    assert await store(db, [bounce(1), bounce(2)]) in ({"1.1.bounced"}, {"2.1.bounced"})
    assert await store(db, [bounce(3)]) == frozenset()
    assert await store(db, [bounce(4), complaint(5)]) == {"5.report.x.complained"}
    assert await store(db, [bounce(6)]) == frozenset()
    assert await live(db) == [("bob@example.org", "complained")]


async def test_a_domain_without_suppression_suppresses_and_skips_no_address(db: Database) -> None:
    await store(db, [bounce(1)])
    assert await update_suppression_enabled(db, DOMAIN, enabled=False)
    assert await store(db, [bounce(2, "ann@example.org")]) == frozenset()
    assert await suppressed(db, "bob@example.org") == set()
    assert await live(db) == [("bob@example.org", "bounced")]
    assert await update_suppression_enabled(db, DOMAIN, enabled=True)
    assert await suppressed(db, "bob@example.org") == {"bob@example.org"}
    assert not await update_suppression_enabled(db, "other.example", enabled=True)


async def test_other_domains_are_not_concerned(db: Database) -> None:
    await insert_domain(db, "other.example")
    await store(db, [replace(bounce(1), domain="other.example"), replace(bounce(2), domain="gone.example")])
    assert await suppressed(db, "bob@example.org") == set()
    async with db.acquire() as connection:
        both = {(DOMAIN, ""): ["bob@example.org"], ("other.example", "x"): ["bob@example.org", "ann@example.org"]}
        found = await find_suppressed(connection, both)
    assert found == {(DOMAIN, ""): set(), ("other.example", "x"): {"bob@example.org"}}


async def test_expired_entries_have_no_effect_and_are_deleted(db: Database) -> None:
    soon = SuppressionRule(bounce_expiry=timedelta(days=1))
    assert await store(db, [bounce(1)], soon) == {"1.1.bounced"}  # AT is long past
    assert await suppressed(db, "bob@example.org") == set()
    assert await live(db) == []
    assert await find_suppressions(db, DOMAIN, "bob@example.org") == []
    # One that lasts takes the place of one that is over.
    assert await store(db, [bounce(2)]) == {"2.1.bounced"}
    assert await live(db) == [("bob@example.org", "bounced")]
    await store(db, [bounce(3, "ann@example.org")], soon)
    assert await delete_expired_suppressions(db) == 1
    assert await delete_expired_suppressions(db) == 0


def missing(number: int, days: float, email: str = "bob@gone.example") -> Event:
    """A bounce of a delivery of its own: its domain did not exist, so many days after AT."""
    found = bounce(number, email, "5.1.2")
    return replace(found, at=AT + timedelta(days=days), text="the domain does not exist", stage="dns")


async def test_a_missing_domain_suppresses_once_it_is_missing_for_three_days(db: Database) -> None:
    assert await store(db, [missing(1, 0)]) == frozenset()
    assert await store(db, [missing(2, 2.9, "BOB@gone.example")]) == frozenset()
    assert await live(db) == []
    assert await store(db, [missing(3, 3)]) == {"3.1.bounced"}
    assert await live(db) == [("bob@gone.example", "bounced")]
    assert await find_suppressions(db, DOMAIN, "bob@gone.example") == [RULE.apply(missing(3, 3))]


async def test_a_second_event_of_the_same_delivery_is_no_second_bounce(db: Database) -> None:
    report = replace(missing(1, 4), event_id="1.report.bounced", stage="report")
    assert await store(db, [missing(1, 0)]) == frozenset()
    assert await store(db, [report]) == frozenset()
    assert await store(db, [missing(1, 0), missing(2, 1)]) == frozenset()
    assert await store(db, [missing(3, 5)]) == {"3.1.bounced"}


async def test_each_address_and_domain_counts_for_itself(db: Database) -> None:
    await insert_domain(db, "other.example")
    await store(db, [missing(1, 0), replace(missing(2, 0), domain="other.example"), missing(3, 0, "ann@gone.example")])
    assert await store(db, [missing(4, 4, "eve@gone.example")]) == frozenset()
    assert await store(db, [missing(5, 4, "ann@gone.example")]) == {"5.1.bounced"}
    assert await live(db) == [("ann@gone.example", "bounced")]


async def test_a_first_bounce_is_forgotten_after_half_a_year(db: Database) -> None:
    await store(db, [missing(1, 0)])
    assert await store(db, [missing(2, 181)]) == frozenset()
    assert await store(db, [missing(3, 183)]) == frozenset()
    assert await store(db, [missing(4, 184)]) == {"4.1.bounced"}
    await store(db, [missing(5, 0, "ann@gone.example"), missing(6, 9, "eve@gone.example")])
    assert await delete_forgotten_bounces(db, AT + timedelta(days=180)) == 0
    assert await delete_forgotten_bounces(db, AT + timedelta(days=181)) == 1


async def test_a_delivery_in_between_shows_that_the_domain_exists(db: Database) -> None:
    await store(db, [missing(1, 0)])
    delivered = replace(missing(2, 2, "Bob@gone.example"), type=EventType.DELIVERED, event_id="2.1.delivered")
    await store(db, [delivered])
    assert await store(db, [missing(3, 4)]) == frozenset()
    assert await store(db, [missing(4, 8)]) == {"4.1.bounced"}


async def test_an_operator_who_removes_an_entry_forgets_the_first_bounce_too(db: Database) -> None:
    await store(db, [missing(1, 0)])
    assert await store(db, [missing(2, 3)]) == {"2.1.bounced"}
    assert await delete_suppressions(db, DOMAIN, ["bob@gone.example"]) == ["bob@gone.example"]
    assert await store(db, [missing(3, 6)]) == frozenset()
    assert await store(db, [missing(3, 6), missing(2, 3)]) == frozenset()
    assert await store(db, [missing(4, 9)]) == {"4.1.bounced"}


async def test_another_cause_suppresses_at_once_and_off_remembers_nothing(db: Database) -> None:
    await store(db, [missing(1, 0)])
    assert await store(db, [bounce(2, "bob@gone.example")]) == {"2.1.bounced"}
    assert await update_suppression_enabled(db, DOMAIN, enabled=False)
    await store(db, [missing(3, 0, "ann@gone.example")])
    assert await update_suppression_enabled(db, DOMAIN, enabled=True)
    assert await store(db, [missing(4, 5, "ann@gone.example")]) == frozenset()


async def test_an_import_may_be_repeated_and_never_weakens(db: Database) -> None:
    now = datetime.now(UTC)
    await store(db, [complaint(1)])

    def entry(email: str, days: int | None, cause: Cause = Cause.MANUAL) -> Suppression:
        expires = None if days is None else now + timedelta(days=days)
        return Suppression(DOMAIN, email, cause, now, expires, note="asked for it")

    entries = [entry("bob@example.org", None), entry("ann@example.org", 5), entry("ANN@example.org", 9)]
    assert await insert_suppressions(db, DOMAIN, entries) == 1
    assert await insert_suppressions(db, DOMAIN, entries) == 0
    assert await live(db) == [("ANN@example.org", "manual"), ("bob@example.org", "complained")]
    assert await insert_suppressions(db, DOMAIN, [entry("ann@example.org", None, Cause.BOUNCED)]) == 1
    assert await live(db, Cause.BOUNCED) == [("ann@example.org", "bounced")]
    found = (await find_suppressions(db, DOMAIN, "ann@example.org"))[0]
    assert (found.expires_at, found.note) == (None, "asked for it")


async def test_pages_follow_one_another(db: Database) -> None:
    emails = [f"user{n:03}@example.org" for n in range(25)]
    await insert_suppressions(
        db, DOMAIN, [Suppression(DOMAIN, email.upper(), Cause.MANUAL, AT) for email in reversed(emails)]
    )
    await insert_suppressions(db, DOMAIN, [Suppression(DOMAIN, emails[9], Cause.MANUAL, AT, tag=t) for t in "bca"])
    seen: list[Suppression] = []
    place = Place()
    while True:
        page, total = await list_suppressions(db, DOMAIN, cause=None, after=place, take=10)
        assert total == 28
        if not page:
            break
        seen += page
        place = Place(page[-1].email, page[-1].tag)
    assert [s.email.lower() for s in seen if not s.tag] == emails
    assert [s.tag for s in seen[9:13]] == ["", "a", "b", "c"]
    behind, _ = await list_suppressions(db, DOMAIN, cause=None, after=Place(emails[9]), take=1)
    assert behind[0].email.lower() == emails[10]
    tagged, total = await list_suppressions(db, DOMAIN, cause=None, after=Place(), take=10, tag="b")
    assert ([s.tag for s in tagged], total) == (["b"], 1)


async def insert_message(db: Database, number: int, tag: str) -> None:
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO messages (message_id, domain, subject, sender_email, scheduled_at, accepted_count,"
            " rejected_count, tag) VALUES ($1, $2, '', $2, $3, 1, 0, $4)",
            f"msg_{number}@{DOMAIN}",
            DOMAIN,
            AT,
            tag,
        )


def unsubscribe(number: int, email: str = "bob@example.org") -> Event:
    event = replace(bounce(number, email), event_id=f"{number}.9.unsubscribed", message_id=f"msg_{number}@{DOMAIN}")
    return replace(event, type=EventType.UNSUBSCRIBED, permanent=False, code=0, enhanced_status="", text="", host="")


async def test_an_unsubscribe_is_about_mail_with_the_same_tag(db: Database) -> None:
    for number, tag in ((1, "news"), (2, "offers"), (3, "")):
        await insert_message(db, number, tag)
    page = [unsubscribe(1), unsubscribe(2), replace(unsubscribe(1, "Bob@example.org"), event_id="1.10.unsubscribed")]
    assert len(await store(db, page)) == 2
    assert await suppressed(db, "bob@example.org", tag="news") == {"bob@example.org"}
    assert await suppressed(db, "bob@example.org", tag="receipts") == set()
    assert await suppressed(db, "bob@example.org") == set()
    assert [(s.tag, s.cause) for s in await find_suppressions(db, DOMAIN, "BOB@example.org")] == [
        ("news", Cause.UNSUBSCRIBED),
        ("offers", Cause.UNSUBSCRIBED),
    ]
    assert await store(db, page) == frozenset()
    # An untagged mail, and one whose batch is no longer stored, are about everything; so is a bounce of tagged mail.
    assert await store(db, [unsubscribe(3), unsubscribe(4, "ann@example.org")]) == {
        "3.9.unsubscribed",
        "4.9.unsubscribed",
    }
    assert await suppressed(db, "bob@example.org", "ann@example.org", tag="receipts") == {
        "bob@example.org",
        "ann@example.org",
    }
    await store(db, [replace(bounce(1, "eve@example.org"), message_id=f"msg_1@{DOMAIN}")])
    assert await suppressed(db, "eve@example.org") == {"eve@example.org"}


async def test_entries_are_removed_by_tag_or_all_at_once(db: Database) -> None:
    entries = [Suppression(DOMAIN, "bob@example.org", Cause.MANUAL, AT, tag=tag) for tag in ("", "news", "offers")]
    assert await insert_suppressions(db, DOMAIN, entries) == 3
    assert await delete_suppressions(db, DOMAIN, ["bob@example.org"], "news") == ["bob@example.org"]
    assert [s.tag for s in await find_suppressions(db, DOMAIN, "bob@example.org")] == ["", "offers"]
    assert await delete_suppressions(db, DOMAIN, ["bob@example.org"], "") == ["bob@example.org"]
    assert await suppressed(db, "bob@example.org") == set()
    assert await insert_suppressions(db, DOMAIN, entries) == 2
    assert await delete_suppressions(db, DOMAIN, ["bob@example.org"]) == ["bob@example.org"]
    assert await find_suppressions(db, DOMAIN, "bob@example.org") == []
