"""The pages in a real Chromium: at the width of a phone and of a desk, in light and in dark, without script too."""

import re

import pytest

from kannon.bus.bus import Bus
from kannon.db.pool import Database
from tests.support.api import TOKEN, running_api
from tests.support.chromium import DESK, PHONE, chromium, log_in, tab
from tests.support.dns_server import DnsServer, serving_dns
from tests.support.page_world import make_page_world


def name_of(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "overview"


async def look_at(db: Database, bus: Bus, looks: list[tuple[int, str]], *, every: bool = True) -> None:
    """Every page: no complaint of the browser, nothing wider than the window, no serious finding of axe-core."""
    world = await make_page_world(db)
    problems: list[str] = []
    paths = [path for path in world.paths() if every or "show=" not in path]
    async with (
        serving_dns(DnsServer({})) as nameserver,
        running_api(db, bus=bus, nameservers=[nameserver]) as api,
        chromium() as browser,
    ):
        for width, scheme in looks:
            base = f"http://127.0.0.1:{api.port}"
            async with tab(browser, base, width, color_scheme=scheme) as each:
                await each.page.goto("/login")
                problems += [f"/login {scheme}: {one}" for one in await each.accessibility()]
                await each.shoot(f"login-{width}-{scheme}")
                await log_in(each.page, TOKEN)
                for path in [*paths, "/dead-letters", "/destinations", "/deliveries/999999"]:
                    await each.page.goto(path)
                    where = f"{path} {width} {scheme}"
                    problems += [f"{where}: {one}" for one in await each.accessibility()]
                    if over := await each.overflow():
                        problems.append(f"{where}: {over} pixels too wide")
                    await each.shoot(f"{name_of(path)}-{width}-{scheme}")
                problems += [f"{scheme}: {one}" for one in each.complaints if "404" not in one]
    assert problems == []


async def test_every_page_on_a_phone_in_the_dark(db: Database, bus: Bus) -> None:
    await look_at(db, bus, [(PHONE, "dark")], every=False)


@pytest.mark.long
async def test_every_page_at_both_widths_and_in_both_colours(db: Database, bus: Bus) -> None:
    await look_at(db, bus, [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")])
