"""Every form of the pages: what it changes, where it leads, and that the audit log names it."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from kannon.bus.bus import Bus
from kannon.db import audit, inspect
from kannon.db.pauses import list_pauses
from kannon.db.pool import Database
from tests.components.api.test_dead_letters import dead_letter
from tests.support.api import RunningApi, running_api
from tests.support.browser import PageClient
from tests.support.page_world import DOMAIN, PageWorld, make_page_world


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        yield api


@pytest.fixture
async def browser(api: RunningApi) -> AsyncIterator[PageClient]:
    async with PageClient(api.port) as client:
        yield await client.log_in()


@pytest.fixture
async def world(db: Database) -> PageWorld:
    return await make_page_world(db)


async def send(browser: PageClient, path: str, **values: str) -> str:
    """Posts it, goes where it leads, and returns the page's text."""
    response = await browser.post(path, values)
    assert response.status_code == 303, (path, response.text)
    assert (await browser.get(response.headers["location"])).status_code == 200
    return browser.text


async def subjects(db: Database) -> list[tuple[str, str, str]]:
    return [(e.change.way, e.change.action, e.change.subject) for e in await audit.list_entries(db, take=100)]


async def test_a_delivery_is_tried_cancelled_and_suppressed(
    db: Database, browser: PageClient, world: PageWorld
) -> None:
    path = f"/deliveries/{world.waiting}"
    await browser.get(path)
    assert "It is tried now." in await send(browser, f"{path}/retry")
    waiting = await inspect.find_waiting(db, world.waiting)
    assert waiting is not None
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at - datetime.now(UTC) < timedelta(minutes=1)
    await send(browser, f"{path}/suppress")
    await browser.get(f"/suppressions?domain={DOMAIN}&email=ann@example.net")
    assert f"delivery {world.waiting}" in browser.text
    response = await browser.post(f"{path}/cancel")
    assert response.headers["location"] == f"{path}?done=cancelled"
    assert [action for way, action, _ in await subjects(db) if way == "page"] == [
        "Operations.CancelDelivery",
        "Suppressions.AddSuppressions",
        "Operations.RetryNow",
    ]


async def test_a_batch_is_paused_resumed_and_cancelled(db: Database, browser: PageClient, world: PageWorld) -> None:
    path = f"/batches/{world.batch}"
    await browser.get(path)
    assert "paused" in await send(browser, f"{path}/pause")
    assert {pause.subject for pause in await list_pauses(db)} == {world.batch, "example.org"}
    await send(browser, f"{path}/resume")
    assert {pause.subject for pause in await list_pauses(db)} == {"example.org"}
    assert "cancelled" in await send(browser, f"{path}/cancel")


async def test_destinations_are_paused_resumed_and_tried(db: Database, browser: PageClient) -> None:
    await browser.get("/destinations")
    assert "example.net" in await send(browser, "/destinations/pause", destination="example.net")
    assert "Nothing is paused." in await send(
        browser, "/destinations/resume", kind="destination", subject="example.net"
    )
    await send(browser, "/destinations/retry", destination="example.net")
    for values in ({"kind": "rubbish", "subject": "x"}, {}):
        assert (await browser.post("/destinations/resume", values)).status_code == 400


async def test_a_domain_from_its_birth_to_its_webhook(db: Database, browser: PageClient) -> None:
    await browser.get("/domains")
    text = await send(browser, "/domains", domain="New.Example")
    assert "new.example" in text
    path = "/domains/new.example"
    made = await browser.post(f"{path}/keys", {"name": "shop", "scope": "send", "days": "30"})
    secret = re.search(r"<pre>(kannon_[^<]+|[A-Za-z0-9_]{20,})</pre>", made.text)
    assert secret, made.text[:2000]
    await browser.get(path)
    assert secret.group(1) not in browser.html  # shown once
    key = re.search(r'name="id" value="(key_[^"]+)"', browser.html)
    assert key
    assert "revoked" in await send(browser, f"{path}/keys/revoke", id=key.group(1))
    await send(browser, f"{path}/tracking", opens="off", links="anonymous")
    await send(browser, f"{path}/quota", per_second="5", per_day="1000")
    assert 'value="1000"' in browser.html
    assert "Switch on" in await send(browser, f"{path}/suppression", enabled="0")
    assert "Paused: mail is accepted and waits." in await send(browser, f"{path}/pause")
    await send(browser, f"{path}/resume")
    assert "ed25519-sha256" in await send(browser, f"{path}/dkim", algorithm="ed25519-sha256")
    selector = re.search(r'name="selector" value="([^"]+)"', browser.html)
    assert selector
    refused = await browser.post(f"{path}/dkim/activate", {"selector": selector.group(1)})
    assert refused.status_code == 409  # its record is not published
    hook = await browser.post(f"{path}/webhooks", {"url": "https://a.example/", "types": "delivery.bounced"})
    assert "whsec_" in hook.text
    await browser.get(path)
    endpoint = re.search(r'href="(/domains/new.example/webhooks/[^"]+)"', browser.html)
    assert endpoint
    await browser.get(endpoint.group(1))
    await send(browser, endpoint.group(1), do="test")
    assert "by the administrator" in await send(browser, endpoint.group(1), do="disable")
    await send(browser, endpoint.group(1), do="enable")
    await send(browser, endpoint.group(1), do="delete")
    told = "".join(subject for _, _, subject in await subjects(db))
    assert secret.group(1) not in told
    assert "whsec_" not in told


@pytest.mark.parametrize(
    ("path", "values", "status"),
    [
        ("/domains", {"domain": ""}, 400),
        ("/domains", {"domain": "not a domain"}, 400),
        (f"/domains/{DOMAIN}/keys", {"name": ""}, 400),
        (f"/domains/{DOMAIN}/keys", {"name": "x", "scope": "everything"}, 400),
        (f"/domains/{DOMAIN}/keys", {"name": "x", "days": "many"}, 400),
        (f"/domains/{DOMAIN}/quota", {"per_second": "-1"}, 400),
        (f"/domains/{DOMAIN}/quota", {"per_day": "9" * 30}, 400),
        (f"/domains/{DOMAIN}/tracking", {"opens": "sometimes", "links": "off"}, 400),
        (f"/domains/{DOMAIN}/webhooks", {"url": "javascript:alert(1)"}, 400),
        (f"/domains/{DOMAIN}/webhooks", {"url": "https://a.example/", "types": "none"}, 400),
        (f"/domains/{DOMAIN}/webhooks/none", {"do": "delete"}, 404),
        ("/domains/none.example/pause", {}, 404),
        ("/deliveries/999999/cancel", {}, 404),
        ("/deliveries/999999/suppress", {}, 404),
        ("/batches/none/pause", {}, 404),
        ("/suppressions/add", {"domain": DOMAIN, "email": ""}, 400),
        ("/suppressions/add", {"domain": DOMAIN, "email": "no address"}, 400),
        ("/dead-letters/delete", {"sequence": "77"}, 404),
        ("/dead-letters/delete", {"sequence": "x"}, 400),
    ],
)
async def test_a_wrong_form_is_a_page_that_names_the_field(
    browser: PageClient, world: PageWorld, path: str, values: dict[str, str], status: int
) -> None:
    await browser.get("/audit")
    response = await browser.post(path, values)
    assert response.status_code == status, response.text
    assert "Traceback" not in response.text
    assert "Nothing was changed" in response.text


async def test_suppressions_are_added_imported_exported_and_removed(
    db: Database, browser: PageClient, world: PageWorld
) -> None:
    await browser.get("/suppressions")
    assert "yan@example.net" in await send(
        browser, "/suppressions/add", domain=DOMAIN, email="yan@example.net", note="by phone"
    )
    token = re.search(r'name="form_token" value="([^"]+)"', browser.html)
    assert token
    rows = "\ufeffemail,name\r\n" + "".join(f"i{n}@example.net,I{n}\r\n" for n in range(12_000))
    response = await browser.http.post(
        "/suppressions/add",
        data={"form_token": token.group(1), "domain": DOMAIN, "note": "=cmd()"},
        files={"file": ("list.csv", rows.encode(), "text/csv")},
    )
    assert response.status_code == 303, response.text
    exported = await browser.get("/suppressions/export", params={"domain": DOMAIN})
    lines = exported.text.splitlines()
    assert exported.headers["content-disposition"] == 'attachment; filename="suppressions-example.com.csv"'
    assert len(lines) == 1 + 2 + 1 + 12_000
    assert lines[0] == "email,cause,since,expires_at,note"
    assert next(line for line in lines if line.startswith("i7@")).endswith(",'=cmd()")
    await browser.get("/suppressions")
    await send(browser, "/suppressions/remove", domain=DOMAIN, email="yan@example.net")
    assert "yan@example.net" not in browser.text
    binary = await browser.http.post(
        "/suppressions/add",
        data={"form_token": token.group(1), "domain": DOMAIN},
        files={"file": ("list.csv", b"\xff\xfe\x00", "text/csv")},
    )
    assert (binary.status_code, "must be text in UTF-8" in binary.text) == (400, True)


async def test_dead_letters_are_published_again_and_deleted(bus: Bus, browser: PageClient) -> None:
    await dead_letter(bus, 2)
    await browser.get("/dead-letters")
    numbers = re.findall(r'name="sequence" value="(\d+)"', browser.html)
    first, second = sorted(set(numbers), key=int)
    await send(browser, "/dead-letters/delete", sequence=first)
    await send(browser, "/dead-letters/retry", sequence=second)
    await browser.get("/dead-letters")
    assert "None." in browser.text
