"""Pages: the first one, a list of 100,000 deliveries from its beginning to its end, and browsers that watch live.

    python -m tests.bench.bench_pages

In: an API with its own PostgreSQL and NATS, and one batch of 100,000 waiting deliveries. Out: bytes and milliseconds of
the first page (warm, with style and script), the slowest page of each list, and the CPU that a refresh of the overview
takes: 50 browsers refresh ten times a second together.
"""

import asyncio
import re
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import anyio

from kannon.bus.bus import Bus
from kannon.db.migrate import migrate
from kannon.db.pool import open_database
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from tests.support.api import running_api
from tests.support.browser import PageClient
from tests.support.page_world import make_page_world
from tests.support.pool import insert_batch

DELIVERIES = 100_000
BROWSERS, SECONDS = 50, 5
REFRESHES = 200


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, DataDir.open(Path(folder)) as data_dir:
        postgres, nats = EmbeddedPostgres(data_dir.path, durable=False), EmbeddedNats(data_dir.path)
        await postgres.start()
        await nats.start()
        try:
            await migrate(postgres.url)
            await measure(postgres.url, nats.url)
        finally:
            await nats.stop()
            await postgres.stop()


async def measure(postgres_url: str, nats_url: str) -> None:
    db, bus = await open_database(postgres_url), Bus(nats_url)
    await bus.ready()
    await make_page_world(db)
    emails = [f"r{number}@example.net" for number in range(DELIVERIES)]
    await insert_batch(db, emails, name="large", state="scheduled", due=timedelta(hours=1))
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE sending_pool_emails SET next_attempt_at = next_attempt_at + id * interval '1 ms'"
        )
        await connection.execute("VACUUM ANALYZE sending_pool_emails")
    async with running_api(db, bus=bus) as api, PageClient(api.port) as client:
        await client.log_in()
        await first_page(client)
        for path in ("/deliveries", "/batches/msg_large@example.com"):
            await list_pages(client, path)
        await live(client)
    await bus.close()
    await db.close()


async def first_page(client: PageClient) -> None:
    await client.get("/")
    started = time.perf_counter()
    size = len((await client.get("/")).content)
    for target in re.findall(r'(?:href|src)="(/assets/[^"]+)"', client.html):
        size += len((await client.http.get(target)).content)
    print(f"first page: {size} bytes in all, {1000 * (time.perf_counter() - started):.0f} ms")


async def list_pages(client: PageClient, start: str) -> None:
    times, path = [], start
    while True:
        began = time.perf_counter()
        await client.get(path)
        times.append(time.perf_counter() - began)
        following = re.search(r'<a href="([^"]+)" rel="next">', client.html)
        if following is None or len(times) == 400:
            break
        path = following.group(1).replace("&amp;", "&")
    times.sort()
    print(
        f"{start}: {len(times)} pages, median {1000 * times[len(times) // 2]:.0f} ms, slowest {1000 * times[-1]:.0f} ms"
    )


async def live(client: PageClient) -> None:
    began = time.process_time()
    for _ in range(REFRESHES // 10):
        await asyncio.gather(*[client.http.get("/", headers={"x-live": "1"}) for _ in range(10)])
    each = (time.process_time() - began) / REFRESHES
    share = each * BROWSERS / SECONDS
    print(f"a refresh: {1000 * each:.1f} ms of CPU with the client's part; {BROWSERS} browsers: {share:.1%} of a core")


if __name__ == "__main__":
    anyio.run(main)
