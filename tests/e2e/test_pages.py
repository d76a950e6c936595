"""A newcomer's story in Chromium, against `kannon serve`: log in, add a domain, make a key, send with it, see the mail
delivered; and the one-time link of `kannon open`."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.support.chromium import chromium, log_in, tab
from tests.support.command import Command
from tests.support.kannon_process import Kannon, free_port

DOMAIN = "news.example.com"
SETTINGS = {"KANNON_SENDER__MODE": "sandbox"}


@pytest.fixture
async def kannon(tmp_path: Path) -> AsyncIterator[Kannon]:
    ports = {name: f"127.0.0.1:{free_port()}" for name in ("KANNON_BUMP__LISTEN", "KANNON_SMTP__LISTEN")}
    kannon = Kannon(tmp_path / "data", {**SETTINGS, **ports}).start()
    try:
        yield await kannon.ready()
    finally:
        kannon.kill()


@pytest.mark.as_built
async def test_from_the_login_to_a_delivered_mail(kannon: Kannon) -> None:
    base = f"http://127.0.0.1:{kannon.ports['api']}"
    async with chromium() as browser, tab(browser, base) as each:
        page = each.page
        await log_in(page, kannon.admin_token())
        await page.get_by_role("link", name="Domains", exact=True).click()
        await page.get_by_label("Domain that you send from").fill(DOMAIN)
        await page.get_by_role("button", name="Add", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(DOMAIN)
        await page.get_by_label("Name", exact=True).fill("my shop")
        await page.get_by_role("button", name="Create a key").click()
        key = (await page.locator("pre").inner_text()).strip()

        async with httpx.AsyncClient(base_url=base, auth=(DOMAIN, key), timeout=30) as http:
            mail = {
                "sender": {"email": f"hello@{DOMAIN}", "alias": "News"},
                "subject": "Welcome <b>",
                "html": "<p>Hello {{ name }}</p>",
                "recipients": [{"email": "ann@example.org", "fields": {"name": "Ann"}}],
            }
            sent = await http.post("/pkg.kannon.mailer.apiv1.Mailer/SendHTML", json=mail)
            assert sent.status_code == 200, sent.text

        await page.get_by_label("Pages").get_by_role("link", name="Batches").click()
        await page.get_by_role("link", name="Welcome <b>").click()
        # The page becomes current by itself.
        await expect(page.locator("#live .tag.good", has_text="delivered")).to_be_visible(timeout=30_000)
        await page.get_by_role("searchbox").fill("ann@example.org")
        await page.get_by_role("searchbox").press("Enter")
        await page.get_by_role("link", name="ann@example.org").first.click()
        await expect(page.locator("ol.timeline")).to_contain_text("delivered")
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Admin token")).to_be_visible()
        assert each.complaints == []


async def test_the_command_opens_the_pages(kannon: Kannon, tmp_path: Path) -> None:
    env = {"KANNON_DATA_DIR": str(tmp_path / "data"), "KANNON_SERVER": f"127.0.0.1:{kannon.ports['api']}"}
    said = await Command(tmp_path, env)("open", "--print")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/login/\S+\n", said.out), said
    async with chromium() as browser, tab(browser, "", java_script_enabled=False) as each:
        await each.page.goto(said.out.strip())
        await expect(each.page.get_by_role("heading", level=1)).to_have_text("Overview")
        await expect(each.page.get_by_text("All well")).to_be_visible()
