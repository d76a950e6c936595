"""Kannon's own unsubscribe link: in the mail, at bump, and what a POST causes (RFC 8058)."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.components.bump import Bump
from kannon.components.stats import Stats
from kannon.db.pool import Database
from kannon.db.suppressions import find_suppressions
from kannon.mail.event import Event, EventType
from kannon.mail.suppression import Cause, SuppressionRule
from kannon.mail.token import UNSUBSCRIBE_TTL
from kannon.mail.tracking import TrackingMode, TrackingPolicy
from tests.components.bump.conftest import Clock, ScriptedBus, Start
from tests.support.http import request
from tests.support.mail import DOMAIN, MESSAGE_ID, NOW, batch, build, delivery, parse, settings, token_pair, verifies
from tests.support.patience import patience
from tests.support.pool import counters, insert_domain

ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def unsubscribe_path(address: str = "anna@reader.example") -> str:
    message = parse(build(batch(unsubscribe=""), delivery(address)).body)
    found = re.fullmatch(rf"<https://stats\.{re.escape(DOMAIN)}(/u/[^>]+)>", message["list-unsubscribe"])
    assert found is not None
    return found[1]


@pytest.mark.parametrize("mode", list(TrackingMode)[1:])
def test_the_link_is_a_signed_header_field_whatever_is_tracked(mode: TrackingMode) -> None:
    body = build(batch(unsubscribe=""), delivery(policy=TrackingPolicy(mode, mode))).body
    message = parse(body)
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert verifies(body)
    signed = (
        message["dkim-signature"].replace(" ", "").replace("\r\n", "").partition("h=")[2].partition(";")[0].split(":")
    )
    assert signed.count("list-unsubscribe") == signed.count("list-unsubscribe-post") == 2  # RFC 8058 §4, oversigned
    broken = body.replace(b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Clicks")
    assert not verifies(broken)


def test_each_delivery_has_a_token_of_its_own_and_a_retry_the_same() -> None:
    links = {
        parse(build(batch(unsubscribe=""), delivery(delivery_id=n, attempt=a)).body)["list-unsubscribe"]
        for n in (1, 2)
        for a in (1, 2)
    }
    assert len(links) == 2


def test_a_callers_own_url_is_as_before() -> None:
    message = parse(build(batch(unsubscribe="https://x.example/u?e={{ email }}")).body)
    assert message["list-unsubscribe"] == "<https://x.example/u?e=anna%40reader.example>"
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert parse(build(batch()).body)["list-unsubscribe"] is None


def test_a_link_without_https_is_no_one_click_link() -> None:
    message = parse(build(batch(unsubscribe=""), by=settings(base_url="http://127.0.0.1:8080")).body)
    assert message["list-unsubscribe"].startswith("<http://127.0.0.1:8080/u/")
    assert message["list-unsubscribe-post"] is None


async def test_a_post_is_an_event_and_a_page(start: Start) -> None:
    async with start() as running:
        response = await request(running.port, unsubscribe_path(), "POST", FORM, ONE_CLICK)
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert b"<b>anna@reader.example</b> is unsubscribed" in response.body
    assert running.events == [
        Event(
            event_id=f"7.{int(NOW.timestamp()) // 60}.unsubscribed",
            type=EventType.UNSUBSCRIBED,
            domain=DOMAIN,
            message_id=MESSAGE_ID,
            email="anna@reader.example",
            at=NOW,
            tracking_mode=TrackingMode.IDENTIFIED,
            delivery_id=7,
        )
    ]


@pytest.mark.parametrize(
    "body", [b"", b"x=y", b"--b\r\nContent-Disposition: form-data\r\n\r\nOne-Click\r\n--b--", b"x" * 200_000]
)
async def test_what_is_posted_does_not_matter(start: Start, body: bytes) -> None:
    async with start() as running:
        headers = FORM if body else {**FORM, "Content-Length": "0"}
        assert (await request(running.port, unsubscribe_path(), "POST", headers, body)).status == 200
    assert len(running.events) == 1


async def test_a_get_shows_a_form_and_changes_nothing(start: Start) -> None:
    async with start() as running:
        shown = await request(running.port, unsubscribe_path("a&b@reader.example"))
        head = await request(running.port, unsubscribe_path(), "HEAD")
    assert (shown.status, head.status, head.body) == (200, 200, b"")
    assert b'<form method="post">' in shown.body
    assert b"<b>a&amp;b@reader.example</b>" in shown.body
    assert b"script" not in shown.body
    assert running.events == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_not_allowed(start: Start, method: str) -> None:
    async with start() as running:
        response = await request(running.port, unsubscribe_path(), method)
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD, POST")
    assert running.events == []


async def test_forged_expired_and_foreign_tokens_are_not_found(start: Start, clock: Clock) -> None:
    path = unsubscribe_path()
    async with start() as running:
        for wrong in ("/u/", "/u/x.y.z", path[:-9] + "AAAAAAAAA", "/o/" + path[3:], "/c/" + path[3:]):
            assert (await request(running.port, wrong, "POST" if wrong[1] == "u" else "GET")).status == 404
        clock.now = NOW + UNSUBSCRIBE_TTL - timedelta(seconds=1)
        assert (await request(running.port, path)).status == 200
        clock.now = NOW + UNSUBSCRIBE_TTL + timedelta(seconds=1)
        assert (await request(running.port, path, "POST", FORM, ONE_CLICK)).status == 404
    assert running.events == []


async def test_an_unsubscribe_that_is_not_stored_is_no_success(start: Start) -> None:
    """The reader is told to come again; the event waits, and its repeat has the same id."""
    bus = ScriptedBus(away=True)
    async with start(bus) as running:
        response = await request(running.port, unsubscribe_path(), "POST", FORM, ONE_CLICK)
        assert (response.status, response.headers["retry-after"]) == (503, "60")
        bus.away = False
        assert (await request(running.port, unsubscribe_path(), "POST", FORM, ONE_CLICK)).status == 200
    assert {event.event_id for event in running.events} == {f"7.{int(NOW.timestamp()) // 60}.unsubscribed"}


async def test_without_the_keys_nothing_is_said_of_the_token(start: Start) -> None:
    async with start() as running:
        running.keys.away = True
        assert (await request(running.port, unsubscribe_path(), "POST", FORM, ONE_CLICK)).status == 503


async def test_a_post_suppresses_the_address(db: Database, bus: Bus) -> None:
    """Through bump, NATS and stats to the list; a second POST counts once."""
    await insert_domain(db, DOMAIN)
    key, _ = token_pair()

    async def keys(now: datetime) -> dict[str, str]:
        return {key.kid: key.private_pem}

    at = datetime.now(UTC)
    stats = Stats(db, bus, retention=timedelta(days=365), rule=SuppressionRule(), clock=lambda: at)
    bump = Bump(bus, keys, listen="127.0.0.1:0", clock=lambda: NOW, new_id=lambda: "x")
    stop = anyio.Event()
    with patience():
        async with anyio.create_task_group() as group:
            await group.start(partial(stats.run, stop))
            await group.start(partial(bump.run, stop))
            for _ in range(2):
                assert (await request(bump.port, unsubscribe_path(), "POST", FORM, ONE_CLICK)).status == 200
            while await find_suppressions(db, DOMAIN, "ANNA@reader.example") == []:
                await anyio.sleep(0.01)
            stop.set()
    (found,) = await find_suppressions(db, DOMAIN, "anna@reader.example")
    assert (found.cause, found.expires_at, found.delivery_id) == (Cause.UNSUBSCRIBED, None, 7)
    assert await counters(db) == {"unsubscribed": 1}
