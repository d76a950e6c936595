"""What readers get: a pixel, a redirect, or nothing; and what is recorded of it."""

import time
from datetime import timedelta

import pytest

from kannon.mail.event import Event, EventType
from kannon.mail.message_id import make_pseudonym
from kannon.mail.token import TokenSigner
from kannon.mail.token_claims import Channel, Claims
from kannon.mail.tracking import TrackingMode
from tests.components.bump.conftest import Clock, Start
from tests.support.http import request
from tests.support.mail import DOMAIN, MESSAGE_ID, NOW, token_pair
from tests.support.readers import click_path, open_path, paths
from tests.support.recorded_metrics import RecordedMetrics

GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c0000000001000100000202440100 3b")


async def test_an_open_is_a_transparent_gif_and_an_event(start: Start) -> None:
    async with start() as running:
        response = await request(running.port, open_path())
    assert response.status == 200
    assert response.body == GIF
    assert len(GIF) == 43
    assert response.headers["content-type"] == "image/gif"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-length"] == "43"
    assert "server" not in response.headers
    assert running.events == [
        Event(
            event_id="event1",
            type=EventType.OPENED,
            domain=DOMAIN,
            message_id=MESSAGE_ID,
            email="anna@reader.example",
            at=NOW,
            tracking_mode=TrackingMode.IDENTIFIED,
            delivery_id=7,
        )
    ]


async def test_a_click_is_a_redirect_and_an_event(start: Start) -> None:
    async with start() as running:
        response = await request(running.port, click_path("https://x.example/a?b=1&amp;c=%20#d"))
    assert response.status == 307
    assert response.headers["location"] == "https://x.example/a?b=1&c=%20#d"
    assert response.headers["cache-control"] == "no-store"
    (event,) = running.events
    assert (event.type, event.url) == (EventType.CLICKED, "https://x.example/a?b=1&c=%20#d")
    assert (event.user_agent, event.ip) == ("", "")


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("HTTP://X.example", "HTTP://X.example"),
        ("https://x.example/ä ö?q=ß", "https://x.example/%C3%A4%20%C3%B6?q=%C3%9F"),
        ("https://x.example/!$&'()*+,;=:@/?[]~%41", "https://x.example/!$&'()*+,;=:@/?[]~%41"),
        ("https://user:pw@x.example:8443/", "https://user:pw@x.example:8443/"),
        ("https://x.example/&lt;&quot;>?\\", "https://x.example/%3C%22%3E?%5C"),
        ("https://x.example#\\", "https://x.example#%5C"),
    ],
)
async def test_targets_go_back_as_they_were(start: Start, target: str, location: str) -> None:
    async with start() as running:
        response = await request(running.port, click_path(target))
    assert response.headers["location"] == location


async def test_head_answers_alike_and_counts_nothing(start: Start) -> None:
    async with start() as running:
        opened = await request(running.port, open_path(), "HEAD")
        clicked = await request(running.port, click_path(), "HEAD")
    assert (opened.status, opened.body, opened.headers["content-length"]) == (200, b"", "43")
    assert (clicked.status, clicked.headers["location"]) == (307, "https://x.example/a?b=1")
    assert running.events == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_not_allowed(start: Start, method: str) -> None:
    async with start() as running:
        for path in (open_path(), click_path(), "/healthz"):
            response = await request(running.port, path, method)
            assert response.status == 405
            assert response.headers["allow"] == "GET, HEAD"
    assert running.events == []


@pytest.mark.parametrize(
    "path",
    ["/", "/o", "/o/", "/c/", "/c", "/x/y", "/O/x", "/healthz/", "/healthz?", "/favicon.ico", "//", "/o//", "/%6f/x"],
)
async def test_other_paths_are_not_found(start: Start, path: str) -> None:
    async with start() as running:
        response = await request(running.port, path)
    assert response.status == (200 if path == "/healthz?" else 404)


async def test_a_query_is_no_part_of_the_token(start: Start) -> None:
    async with start() as running:
        assert (await request(running.port, open_path() + "?utm=1")).status == 200


async def test_answers_are_counted_by_status(start: Start) -> None:
    metrics = RecordedMetrics()
    async with start(metrics=metrics) as running:
        for path in (open_path(), click_path(), "/o/forged"):
            await request(running.port, path)
        await request(running.port, open_path(), method="POST")
    assert metrics.answers == [200, 307, 404, 405]


async def test_health(start: Start) -> None:
    async with start() as running:
        response = await request(running.port, "/healthz")
    assert (response.status, response.body) == (200, b"ok\n")
    assert running.keys.queries == 0


def _signed(**changes: object) -> str:
    values = {
        "channel": Channel.CLICK,
        "mode": TrackingMode.IDENTIFIED,
        "domain": DOMAIN,
        "message_id": MESSAGE_ID,
        "email": "anna@reader.example",
        "issued": int(NOW.timestamp()),
        "expires": int(NOW.timestamp()) + 1000,
        "delivery_id": 7,
        "url": "https://x.example/",
        **changes,
    }
    return "/c/" + TokenSigner(token_pair()[0]).sign(Claims(**values))  # type: ignore[arg-type]  # any test's values


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://x.example/",
        "/relative",
        "//x.example",
        "https://",
        "https://x\r\ny",
        " https://x.example",
        "https://x.example\\@y.example/",
        "https://x.example\\.y.example",
        "https://x.example/\\y",
    ],
)
async def test_a_target_that_is_no_web_page_is_not_followed(start: Start, url: str) -> None:
    """Even with a genuine signature: nothing but http and https ever stands in Location."""
    async with start() as running:
        response = await request(running.port, _signed(url=url))
    assert response.status == (307 if url == "//x.example" else 404)
    if url == "//x.example":  # how https:// is written in a token
        assert response.headers["location"] == "https://x.example"


async def test_tokens_are_for_their_own_channel(start: Start) -> None:
    async with start() as running:
        assert (await request(running.port, "/o" + click_path()[2:])).status == 404
        assert (await request(running.port, "/c" + open_path()[2:])).status == 404
    assert running.events == []


async def test_tokens_expire(start: Start, clock: Clock) -> None:
    async with start() as running:
        clock.now = NOW + timedelta(days=90)
        assert (await request(running.port, open_path())).status == 404
        clock.now = NOW + timedelta(days=90) - timedelta(seconds=1)
        assert (await request(running.port, open_path())).status == 200


async def test_hostile_tokens_are_not_found_at_once_and_never_looked_up(start: Start) -> None:
    good = open_path()
    hostile = [
        "/o/x",
        "/o/..",
        good + "x",
        good[:-40],
        good.replace(".", "..", 1),
        "/o/eyJhbGciOiJub25lIn0.e30.",
        "/o/" + "A" * 8193,
        "/o/" + "A" * 60000,
        "/o/" + "." * 8000,
        "/o/%00",
        good.replace("/o/", "/o/../o/"),
    ]
    async with start() as running:
        for path in hostile:
            begin = time.thread_time()
            response = await request(running.port, path)
            taken = time.thread_time() - begin
            assert response.status == 404, path[:80]
            assert taken < 0.1  # the reader's part included; refusing itself takes well under 5 ms
        assert running.keys.queries == 0
        altered = good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:]
        assert (await request(running.port, altered)).status == 404
    assert running.events == []


async def test_without_the_key_nobody_is_sent_anywhere(start: Start) -> None:
    async with start() as running:
        running.keys.away = True
        response = await request(running.port, click_path())
        assert response.status == 503
        assert "location" not in response.headers
        running.keys.away = False
        assert (await request(running.port, click_path())).status == 307
        running.keys.away = True
        assert (await request(running.port, click_path())).status == 307  # remembered


async def test_a_long_outage_of_the_database_keeps_nobody_waiting_whose_key_was_known(
    start: Start, clock: Clock
) -> None:
    async with start() as running:
        assert (await request(running.port, click_path())).status == 307
        running.keys.away = True
        for _ in range(60):
            clock.now += timedelta(minutes=1)
            assert (await request(running.port, click_path())).status == 307
        assert len(running.events) == 61
        running.keys.away = False
        clock.now += timedelta(minutes=1)
        queries = running.keys.queries
        for _ in range(5):
            assert (await request(running.port, click_path())).status == 307
        assert running.keys.queries == queries + 1


async def test_ip_and_user_agent_are_recorded_in_full_mode_only(start: Start) -> None:
    async with start() as running:
        for mode in (TrackingMode.ANONYMOUS, TrackingMode.PSEUDONYMOUS, TrackingMode.IDENTIFIED, TrackingMode.FULL):
            await request(running.port, click_path(mode=mode), headers={"User-Agent": "Firefox"})
    recorded = [(e.tracking_mode, e.email, e.user_agent, e.ip, e.delivery_id) for e in running.events]
    assert recorded == [
        (TrackingMode.ANONYMOUS, f"anonymous@track.{DOMAIN}", "", "", 0),
        (TrackingMode.PSEUDONYMOUS, f"{make_pseudonym(b's' * 16)}@track.{DOMAIN}", "", "", 0),
        (TrackingMode.IDENTIFIED, "anna@reader.example", "", "", 7),
        (TrackingMode.FULL, "anna@reader.example", "Firefox", "127.0.0.1", 7),
    ]


async def test_a_user_agent_is_cut_and_decoded(start: Start) -> None:
    async with start() as running:
        await request(running.port, open_path(TrackingMode.FULL), headers={"User-Agent": "ü" + "x" * 2000})
    assert running.events[0].user_agent == "ü" + "x" * 511


@pytest.mark.parametrize(
    ("trusted", "forwarded", "recorded"),
    [
        ([], "203.0.113.9", "127.0.0.1"),
        (["10.0.0.0/8"], "203.0.113.9", "127.0.0.1"),
        (["127.0.0.1"], "203.0.113.9", "203.0.113.9"),
        (["127.0.0.0/8"], "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        (["127.0.0.0/8", "10.0.0.0/8"], "1.2.3.4, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        (["127.0.0.0/8"], "203.0.113.9:4711", "203.0.113.9"),
        (["127.0.0.0/8"], "[2001:db8::1]:4711", "2001:db8::1"),
        (["127.0.0.0/8"], "2001:db8::1", "2001:db8::1"),
        (["127.0.0.0/8"], "::ffff:203.0.113.9", "203.0.113.9"),
        (["127.0.0.0/8"], "203.0.113.9, unknown", "127.0.0.1"),
        (["127.0.0.0/8"], "", "127.0.0.1"),
        (["127.0.0.0/8"], "127.0.0.2, 127.0.0.3", "127.0.0.2"),
        (["127.0.0.0/8"], "x" * 5000, "127.0.0.1"),
    ],
)
async def test_the_ip_behind_trusted_proxies(start: Start, trusted: list[str], forwarded: str, recorded: str) -> None:
    headers = {"User-Agent": "Firefox", "X-Forwarded-For": forwarded}
    async with start(trusted=trusted) as running:
        await request(running.port, open_path(TrackingMode.FULL), headers=headers)
    assert running.events[0].ip == recorded


async def test_a_base_url_with_a_path(start: Start) -> None:
    async with start(base_url="https://x.example/track/") as running:
        assert (await request(running.port, "/track" + open_path())).status == 200
        assert (await request(running.port, open_path())).status == 200
        assert (await request(running.port, "/other" + open_path())).status == 404


# Machines are marked, not dropped.


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "Mozilla/5.0"},  # Apple Mail Privacy Protection
        {"User-Agent": "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)"},
        {"User-Agent": "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"},
        {"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0)"},
        {"User-Agent": "python-requests/2.31"},
        {"User-Agent": "curl/8.0"},
        {"User-Agent": ""},
        {"Accept": "*/*"},
        {"User-Agent": "Mozilla/5.0 (X11) Firefox/120", "Sec-Purpose": "prefetch"},
        {"User-Agent": "Mozilla/5.0 (X11) Firefox/120", "X-Purpose": "preview"},
    ],
)
async def test_known_machines_are_marked(start: Start, headers: dict[str, str]) -> None:
    async with start() as running:
        await request(running.port, open_path(), headers=headers)
        await request(running.port, click_path(), headers=headers)
    assert [event.suspected_machine for event in running.events] == [True, True]


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
        "Mozilla/5.0 (Linux; Android 13; CUBOT X50) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
    ],
)
async def test_people_are_not(start: Start, user_agent: str) -> None:
    async with start() as running:
        await request(running.port, open_path(), headers={"User-Agent": user_agent})
        await request(running.port, click_path(), headers={"User-Agent": user_agent})
    assert [event.suspected_machine for event in running.events] == [False, False]


async def test_a_burst_of_links_is_a_machines(start: Start, clock: Clock) -> None:
    first, second, third, _ = paths("https://x.example/1", "https://x.example/2", "https://x.example/3")
    async with start() as running:
        await request(running.port, first)
        await request(running.port, first)  # twice the same: an impatient reader
        clock.now += timedelta(seconds=1)
        await request(running.port, second)
        clock.now += timedelta(seconds=1)
        await request(running.port, third)
        clock.now += timedelta(seconds=3)
        await request(running.port, first)
    assert [event.suspected_machine for event in running.events] == [False, False, True, True, False]


async def test_who_looks_before_following_is_a_machine(start: Start, clock: Clock) -> None:
    async with start() as running:
        await request(running.port, click_path(), "HEAD")
        await request(running.port, click_path())
        clock.now += timedelta(seconds=3)
        await request(running.port, click_path())
    assert [event.suspected_machine for event in running.events] == [True, False]


async def test_two_readers_are_no_burst(start: Start) -> None:
    async with start() as running:
        await request(running.port, paths("https://x.example/1", address="anna@reader.example")[0])
        await request(running.port, paths("https://x.example/2", address="bert@reader.example")[0])
    assert [event.suspected_machine for event in running.events] == [False, False]
