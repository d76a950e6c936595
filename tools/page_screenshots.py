"""Takes the four screenshots of docs/pages.md: `python -m tools.page_screenshots`.

In: the pages of these sources, with made-up mail behind them. Out: docs/images/*.png, each below 150 kB. Needs what the
tests need.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import anyio
from playwright.async_api import Browser

from kannon.bus.bus import Bus
from kannon.db.migrate import migrate
from kannon.db.pool import open_database
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from tests.support.api import TOKEN, running_api
from tests.support.chromium import chromium, log_in, tab
from tests.support.page_world import DOMAIN, make_page_world

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
MAX_BYTES = 150_000
WIDTH, HEIGHT = 1200, 800
REPLY = "4.2.2 The recipient's mailbox is over quota"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, DataDir.open(Path(folder)) as data_dir:
        postgres, nats = EmbeddedPostgres(data_dir.path, durable=False), EmbeddedNats(data_dir.path)
        await postgres.start()
        await nats.start()
        try:
            await migrate(postgres.url)
            await shoot(postgres.url, nats.url)
        finally:
            await nats.stop()
            await postgres.stop()


async def shoot(postgres_url: str, nats_url: str) -> None:
    db, bus = await open_database(postgres_url), Bus(nats_url)
    await bus.ready()
    try:
        world = await make_page_world(db, REPLY, events=400)
        async with db.acquire() as connection:
            await connection.execute("UPDATE messages SET subject = 'The spring catalogue', metadata = '{}'")
            await connection.execute("UPDATE api_keys SET name = 'web shop'")
            await connection.execute("UPDATE stats SET url = 'https://example.com/spring' WHERE url <> ''")
            await connection.execute("UPDATE stats SET user_agent = 'Mozilla/5.0 (iPhone)' WHERE user_agent <> ''")
        paths = {
            "overview": "/",
            "delivery": f"/deliveries/{world.waiting}",
            "batch": f"/batches/{world.batch}",
            "domain": f"/domains/{DOMAIN}",
        }
        async with running_api(db, bus=bus) as api, chromium() as browser:
            await shoot_pages(browser, f"http://127.0.0.1:{api.port}", paths)
    finally:
        await bus.close()
        await db.close()


async def shoot_pages(browser: Browser, base: str, paths: Mapping[str, str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    async with tab(browser, base, WIDTH, color_scheme="light") as each:
        await log_in(each.page, TOKEN)
        await each.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        await each.page.goto(paths["domain"])
        await each.page.get_by_role("button", name="Create", exact=True).click()
        for name, path in paths.items():
            await each.page.goto(path)
            image = await each.page.screenshot(path=IMAGES / f"{name}.png")
            if len(image) > MAX_BYTES:
                raise SystemExit(f"{name}.png has {len(image)} bytes, more than {MAX_BYTES}")
            print(f"{name}.png {len(image)} bytes")


if __name__ == "__main__":
    anyio.run(main)
