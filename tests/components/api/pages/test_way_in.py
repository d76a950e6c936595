"""The way into the pages: logins, sessions, forms, and what other sites cannot do."""

from collections.abc import AsyncIterator

import pytest

from kannon.components.api.pages.application import ACTIONS, PAGES
from kannon.components.api.pages.login import own_path
from kannon.db.pool import Database
from kannon.pb.admin.v1.pages_grpc import PagesStub
from kannon.pb.admin.v1.pages_pb2 import CreateLoginLinkRequest
from tests.support.api import ADMIN, TOKEN, VIEWER_TOKEN, RunningApi, running_api
from tests.support.browser import PageClient

COOKIE = "kannon_session"


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        yield api


@pytest.fixture
async def browser(api: RunningApi) -> AsyncIterator[PageClient]:
    client = PageClient(api.port)
    async with client:
        yield client


async def test_every_page_leads_to_the_login_and_back(browser: PageClient) -> None:
    response = await browser.get("/audit?domain=example.com")
    assert (response.status_code, response.headers["location"]) == (303, "/login?next=%2Faudit%3Fdomain%3Dexample.com")
    await browser.get(response.headers["location"])
    response = await browser.post("/login", {"token": TOKEN, "next": "/audit?domain=example.com"})
    assert (response.status_code, response.headers["location"]) == (303, "/audit?domain=example.com")
    assert (await browser.get("/audit?domain=example.com")).status_code == 200


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: PageClient) -> None:
    response = await browser.http.post("/login", data={"token": TOKEN})
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "SameSite=strict", "Max-Age=43200", "Path=/"):
        assert part in cookie


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + " x", "ü" * 500])
async def test_a_wrong_token_logs_nobody_in(browser: PageClient, token: str) -> None:
    response = await browser.http.post("/login", data={"token": token})
    assert response.status_code == 403
    assert "set-cookie" not in response.headers
    assert (await browser.get("/audit")).status_code == 303


async def test_a_link_works_once(api: RunningApi, browser: PageClient) -> None:
    link = await PagesStub(api.channel).CreateLoginLink(CreateLoginLinkRequest(), metadata=ADMIN)
    assert (await browser.get(link.path)).status_code == 200
    assert (await browser.get("/audit")).status_code == 200
    browser.http.cookies.clear()
    assert (await browser.get(link.path)).status_code == 403
    assert (await browser.get("/audit")).status_code == 303


async def test_a_link_is_worth_nothing_after_a_minute(api: RunningApi, browser: PageClient, db: Database) -> None:
    link = await PagesStub(api.channel).CreateLoginLink(CreateLoginLinkRequest(), metadata=ADMIN)
    async with db.acquire() as connection:
        lifetime = await connection.fetchval("SELECT extract(epoch FROM expires_at - now())::int FROM logins")
        assert 50 <= lifetime <= 60
        await connection.execute("UPDATE logins SET expires_at = now()")
    assert (await browser.get(link.path)).status_code == 403


async def test_an_expired_session_leads_to_the_login(browser: PageClient, db: Database) -> None:
    await browser.log_in()
    await browser.get("/audit")
    async with db.acquire() as connection:
        await connection.execute("UPDATE logins SET expires_at = now()")
    assert (await browser.get("/audit")).headers["location"] == "/login?next=%2Faudit"
    assert (await browser.http.get("/audit", headers={"x-live": "1"})).status_code == 401


async def test_a_login_takes_over_no_session_that_the_browser_brings(browser: PageClient) -> None:
    """Session fixation: another person knows the cookie that was there before."""
    browser.http.cookies.set(COOKIE, "known-to-others", domain="127.0.0.1")
    first = await browser.http.post("/login", data={"token": TOKEN})
    assert "known-to-others" not in first.headers["set-cookie"]
    before = first.cookies[COOKIE]
    browser.http.cookies.clear()
    browser.http.cookies.set(COOKIE, before, domain="127.0.0.1")
    second = await browser.http.post("/login", data={"token": TOKEN})
    assert second.cookies[COOKIE] != before
    browser.http.cookies.clear()
    browser.http.cookies.set(COOKIE, before, domain="127.0.0.1")
    assert (await browser.get("/audit")).status_code == 303  # the one from before has ended


async def test_after_the_logout_the_cookie_is_worth_nothing(browser: PageClient) -> None:
    await browser.log_in()
    secret = browser.http.cookies[COOKIE]
    await browser.get("/audit")
    assert (await browser.post("/logout")).headers["location"] == "/login"
    browser.http.cookies.set(COOKIE, secret, domain="127.0.0.1")
    assert (await browser.get("/audit")).status_code == 303


async def test_another_token_ends_the_sessions_of_the_one_before(db: Database, api: RunningApi) -> None:
    async with running_api(db, admin_token="another-token") as other:
        client = await PageClient(other.port).log_in("another-token")
        secret = client.http.cookies[COOKIE]
        await client.http.aclose()
    client = PageClient(api.port)
    client.http.cookies.set(COOKIE, secret, domain="127.0.0.1")
    assert (await client.get("/audit")).status_code == 303
    await client.http.aclose()


async def test_a_session_holds_on_every_node(db: Database, api: RunningApi, browser: PageClient) -> None:
    await browser.log_in()
    async with running_api(db) as other:
        client = PageClient(other.port)
        client.http.cookies.set(COOKIE, browser.http.cookies[COOKIE], domain="127.0.0.1")
        assert (await client.get("/audit")).status_code == 200
        await client.http.aclose()


async def test_failed_logins_of_a_peer_are_slowed_down(db: Database) -> None:
    """The bucket itself is tested with FailedLogins; here, that each failure of both ways in is charged."""
    charged: list[str] = []

    def charge(peer: str) -> float:
        charged.append(peer)
        return 0.0

    async with running_api(db, failed_login=charge) as api:
        client = PageClient(api.port)
        await client.http.post("/login", data={"token": "wrong"})
        await client.get("/login/wrong")
        await client.log_in()
        await client.http.aclose()
    assert charged == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/%0d%0aSet-Cookie: a=b",
        "/audit\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "/unknown",
        "/logout",
        "/login",
        "audit",
        "/audit" * 1000,
        "",
    ],
)
def test_a_login_leads_to_no_other_place(target: str) -> None:
    assert own_path(target) == "/"


@pytest.mark.parametrize("target", ["/", "/audit", "/audit?domain=a.example&before=5", "/deliveries/5"])
def test_a_login_leads_back_to_where_it_came_from(target: str) -> None:
    assert own_path(target) == target


ALL_ACTIONS = sorted([*ACTIONS, "/logout"])


def filled(path: str) -> str:
    """With something for each part."""
    return (
        path.replace("{id:int}", "1").replace("{domain}", "example.com").replace("{id}", "x").replace("{endpoint}", "x")
    )


async def test_no_form_of_another_site_changes_anything(browser: PageClient) -> None:
    await browser.log_in()
    await browser.get("/audit")
    for headers in (
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        for path in ALL_ACTIONS:
            response = await browser.post(filled(path), headers=headers)
            assert (response.status_code, "another site" in response.text) == (403, True), path


async def test_no_form_without_the_token_of_the_session_changes_anything(browser: PageClient) -> None:
    await browser.log_in()
    browser.html = ""
    for values in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "ü"}):
        for path in ALL_ACTIONS:
            response = await browser.post(filled(path), values)
            assert (response.status_code, "not of this session" in response.text) == (403, True), path


async def test_a_viewer_changes_nothing(browser: PageClient) -> None:
    await browser.log_in(VIEWER_TOKEN)
    await browser.get("/audit")
    for path in ACTIONS:
        response = await browser.post(filled(path))
        assert (response.status_code, "changes nothing" in response.text) == (403, True), path


async def test_a_viewer_may_log_out(browser: PageClient) -> None:
    await browser.log_in(VIEWER_TOKEN)
    await browser.get("/audit")
    assert "read only" in browser.text
    assert (await browser.post("/logout")).status_code == 303


async def test_a_login_form_of_another_site_logs_nobody_in(browser: PageClient) -> None:
    response = await browser.http.post("/login", data={"token": TOKEN}, headers={"origin": "https://evil.example"})
    assert (response.status_code, "set-cookie" in response.headers) == (403, False)


async def test_a_link_from_another_site_finds_the_session(browser: PageClient) -> None:
    """Browsers do not send a strict cookie with it, but with the request of the page that they get first."""
    response = await browser.get("/audit", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert (response.status_code, 'http-equiv="refresh"' in response.text) == (200, True)


async def test_every_answer_forbids_frames_and_foreign_content(browser: PageClient) -> None:
    await browser.log_in()
    for path in [*map(filled, PAGES), "/login", "/login/wrong", "/audit/nothing", "/assets/x/nothing.css"]:
        response = await browser.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy or "frame-ancestors 'self'" in policy, path
        assert "unsafe-inline" not in policy.partition("script-src")[2], path
        assert response.headers["x-content-type-options"] == "nosniff", path
        assert response.headers["referrer-policy"] == "same-origin", path
        assert response.headers["cache-control"] == "no-store", path
        assert response.status_code < 500 or path in ("/destinations", "/dead-letters"), path  # NATS is away


async def test_a_large_login_form_is_not_read(browser: PageClient) -> None:
    response = await browser.http.post("/login", data={"token": "x" * 100_000})
    assert response.status_code == 413


async def test_the_viewer_token_reads_by_the_api_too(api: RunningApi) -> None:
    from grpclib.const import Status

    from kannon.pb.admin.apiv1.adminapiv1_pb2 import CreateDomainRequest, GetDomainsReq
    from tests.support.api import refusal

    viewer = {"x-kannon-admin-token": VIEWER_TOKEN}
    assert (await api.admin.GetDomains(GetDomainsReq(), metadata=viewer)).domains == []
    status, text = await refusal(api.admin.CreateDomain(CreateDomainRequest(domain="a.example"), metadata=viewer))
    assert (status, text) == (Status.PERMISSION_DENIED, "the viewer token changes nothing")
