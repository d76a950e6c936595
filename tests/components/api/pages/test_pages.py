"""Each page with real data behind it, and with texts of strangers in every field: shown as text, never as HTML."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from kannon.bus.bus import Bus
from kannon.db.pool import Database
from tests.support.api import VIEWER_TOKEN, RunningApi, running_api
from tests.support.browser import PageClient
from tests.support.dns_server import DnsServer, serving_dns
from tests.support.page_world import DOMAIN, make_page_world

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}javascript:alert(3)"


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    zone = {("_dmarc.example.com", "TXT"): ['"v=DMARC1; p=none"']}
    async with serving_dns(DnsServer(zone)) as nameserver, running_api(db, bus=bus, nameservers=[nameserver]) as api:
        yield api


@pytest.fixture
async def browser(api: RunningApi) -> AsyncIterator[PageClient]:
    client = await PageClient(api.port).log_in()
    async with client:
        yield client


class Markup(HTMLParser):
    """What a browser makes of a page: elements, attributes, and whether it is well formed."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "line", "rect", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.problems: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")


def check_is_harmless(html: str) -> None:
    page = Markup(html)
    assert page.problems == []
    assert [a for tag, a in page.elements if tag == "script" and not (a.get("src") or "").startswith("/assets/")] == []
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("href", "action", "src"):
            target = attributes.get(name) or "/"
            assert target.startswith(("/", "#")), (tag, target)
            assert not target.startswith("//")
    assert "<img src=x" not in html
    assert "49" not in re.findall(r"x onerror=alert\(2\)&gt;(\S{2})", html)


async def test_every_page_shows_what_is_there(db: Database, browser: PageClient) -> None:
    world = await make_page_world(db)
    for path in world.paths():
        response = await browser.get(path)
        if path.startswith("/search?"):
            assert response.status_code in (200, 303)
        else:
            assert response.status_code == 200, (path, browser.text)
        check_is_harmless(browser.html)
        assert len(browser.html) < 60_000, path


async def test_texts_of_others_stay_text(db: Database, browser: PageClient) -> None:
    world = await make_page_world(db, HOSTILE)
    shown = 0
    for path in [
        *world.paths(),
        f"/search?q={quote('<script>alert(1)</script>@x')}",
        f"/audit?domain={quote(HOSTILE)}",
    ]:
        await browser.get(path)
        check_is_harmless(browser.html)
        shown += "&lt;script&gt;alert(1)" in browser.html
    assert shown > 15


async def test_every_page_opens_where_nothing_is_there(browser: PageClient) -> None:
    for path in ("/", "/deliveries", "/batches", "/domains", "/suppressions", "/audit", "/config", "/dead-letters"):
        assert (await browser.get(path)).status_code == 200, (path, browser.text)
        check_is_harmless(browser.html)


async def test_a_viewer_sees_every_page_and_no_form_that_changes(db: Database, api: RunningApi) -> None:
    world = await make_page_world(db)
    client = await PageClient(api.port).log_in(VIEWER_TOKEN)
    async with client:
        for path in world.paths():
            response = await client.get(path)
            assert response.status_code in (200, 303), path
            posts = [a for tag, a in Markup(client.html).elements if tag == "form" and a.get("method") == "post"]
            assert [form["action"] for form in posts] in (["/logout"], []), path


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/deliveries/999999", 404, "no delivery 999999"),
        ("/deliveries/x", 404, "no such page"),
        ("/batches/msg_none@example.com", 404, "no batch"),
        ("/domains/none.example", 404, "no domain"),
        ("/domains/not%20a%20domain", 400, "domain"),
        ("/deliveries?state=lost", 400, "state: is none of"),
        ("/deliveries?after=rubbish", 400, "cursor: is not"),
        ("/batches?after=1.2.3", 200, ""),
        ("/batches?tag=x", 400, "tag: needs domain"),
        ("/suppressions?domain=none.example", 404, "no domain"),
        ("/audit?before=-1", 200, ""),
        ("/domains/example.com/webhooks/none", 404, "no webhook endpoint"),
        ("/dead-letters?after=99999999999999999999", 200, ""),
    ],
)
async def test_what_is_not_there_or_not_right_says_so(browser: PageClient, path: str, status: int, text: str) -> None:
    response = await browser.get(path)
    assert (response.status_code, text in browser.text) == (status, True), browser.text


async def test_a_list_goes_on_where_the_page_before_ended(db: Database, browser: PageClient) -> None:
    from datetime import timedelta

    from tests.support.pool import insert_batch

    emails = [f"r{number:03}@example.net" for number in range(130)]
    await insert_batch(db, emails, name="a", state="scheduled", due=timedelta(minutes=1))
    async with db.acquire() as connection:  # among them some that are held
        await connection.execute("UPDATE sending_pool_emails SET next_attempt_at = 'infinity' WHERE id % 2 = 0")
    for start in ("/deliveries", "/batches/msg_a@example.com"):
        seen: list[str] = []
        path: str | None = start
        while path is not None:
            await browser.get(path)
            seen += re.findall(r'<a href="/deliveries/\d+">([^<]+)</a>', browser.html)
            following = re.search(r'<a href="([^"]+)" rel="next">', browser.html)
            path = following.group(1).replace("&amp;", "&") if following else None
        assert sorted(seen) == emails


async def test_batches_of_all_domains_go_on_too(db: Database, browser: PageClient) -> None:
    from tests.support.pool import insert_batch

    for number in range(60):
        await insert_batch(db, ["a@example.net"], name=f"{number:02}", domain=f"d{number % 3}.example")
    await browser.get("/batches")
    first = re.findall(r'href="/batches/(msg_[^"]+)"', browser.html)
    following = re.search(r'<a href="([^"]+)" rel="next">', browser.html)
    assert following
    await browser.get(following.group(1).replace("&amp;", "&"))
    second = re.findall(r'href="/batches/(msg_[^"]+)"', browser.html)
    assert (len(first), len(second), len({*first, *second})) == (50, 10, 60)
    await browser.get("/batches?domain=d1.example")
    assert len(re.findall(r'href="/batches/(msg_[^"]+)"', browser.html)) == 20


async def test_a_search_finds_a_mail_by_each_of_its_names(db: Database, browser: PageClient) -> None:
    from kannon.mail.message_id import make_message_id

    world = await make_page_world(db)
    async with db.acquire() as connection:
        secret = await connection.fetchval("SELECT secret FROM sending_pool_emails WHERE id = $1", world.waiting)
    header = make_message_id(secret.bytes, DOMAIN)
    for text, place in (
        (str(world.ended), f"/deliveries/{world.ended}"),
        (world.batch, f"/batches/{world.batch}"),
        (f"<{header}>", f"/deliveries/{world.waiting}"),
        (header.upper().replace(DOMAIN.upper(), DOMAIN), f"/deliveries/{world.waiting}"),
    ):
        response = await browser.get("/search", params={"q": text})
        assert (response.status_code, response.headers.get("location")) == (303, place), text
    await browser.get("/search", params={"q": "ANN@example.net"})
    assert f'href="/deliveries/{world.waiting}"' in browser.html
    for text in (
        "zoe@nowhere.example",
        "123456789",
        "msg_none",
        "rubbish",
        "a@b@c",
        "<@>",
        "x" * 400,
        "\x00",
        "1" * 40,
    ):
        assert (await browser.get("/search", params={"q": text})).status_code == 200, text


async def test_the_overview_counts_and_says_what_is_wrong(db: Database, bus: Bus) -> None:
    from kannon.errors import Unavailable

    async def away() -> None:
        raise Unavailable("gone")

    await make_page_world(db)
    async with running_api(db, bus=bus, checks={"nats": away}) as api:
        client = await PageClient(api.port).log_in()
        async with client:
            await client.get("/")
    assert "Not well nats: unavailable" in client.text
    assert "Bounced, 24 h" in client.text
    rows = re.findall(r'<th scope="row">[^<]+</th>((?:<td class="n">[^<]*</td>){4})', client.html)
    assert len(rows) == 24  # the table behind the chart
    delivered = sum(int(re.findall(r">(\d+)<", row)[0]) for row in rows)
    assert delivered == 1 + 35


async def test_records_are_looked_up_when_asked(db: Database, browser: PageClient) -> None:
    await make_page_world(db)
    await browser.get(f"/domains/{DOMAIN}")
    assert "look them up now" in browser.text
    await browser.get(f"/domains/{DOMAIN}?check=1")
    assert re.search(r"DMARC _dmarc\.example\.com .{0,120} good ", browser.text), browser.text
    assert re.search(r"SPF example\.com .{0,80} missing add this record", browser.text), browser.text
