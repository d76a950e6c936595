"""How soon a watcher sees an event, and what many watchers cost.

    python -m tests.bench.bench_watch

The api runs in its own process, with a durable embedded PostgreSQL; events are stored from here, pages of 100 with a
short pause between them. Out: for 0, 1 and 50 watchers of the domain, the events stored a second, the time from commit
to the watcher (median and 95 of 100) and the processor time of the api and of PostgreSQL for each stored event.
"""

import asyncio
import multiprocessing
import statistics
import time
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import uvloop

from kannon.client import Client
from kannon.db.pool import Database, open_database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from tests.bench.bench_intake import TOKEN, serve
from tests.bench.processes import Usage, usage
from tests.support.cipher import make_cipher

DOMAIN = "example.com"
PAGE = 100
PAGES = 100


async def store(db: Database, run: str) -> dict[str, float]:
    """The time of each event's commit."""
    now = datetime.now(UTC)
    committed: dict[str, float] = {}
    for page in range(PAGES):
        ids = [f"{run}.{page:04}.{n:03}" for n in range(PAGE)]
        events = [Event(i, EventType.DELIVERED, DOMAIN, f"msg_1@{DOMAIN}", "a@example.net", now) for i in ids]
        await insert_events(db, events)
        committed |= dict.fromkeys(ids, time.perf_counter())
        await asyncio.sleep(0.02)
    return committed


async def watch(server: str, seen: dict[str, float], ready: asyncio.Event) -> None:
    async with Client(server, admin_token=TOKEN) as client:
        async for response in client.watch_events(DOMAIN):
            ready.set()
            now = time.perf_counter()
            for event in response.events:
                seen[event.event_id] = now


async def one_run(server: str, db: Database, pid: int, watchers: int) -> None:
    seen: list[dict[str, float]] = [{} for _ in range(watchers)]
    ready = [asyncio.Event() for _ in range(watchers)]
    tasks = [asyncio.create_task(watch(server, each, event)) for each, event in zip(seen, ready, strict=True)]
    for event in ready:
        await event.wait()
    before, start = usage(pid), time.perf_counter()
    committed = await store(db, f"w{watchers}")
    seconds = time.perf_counter() - start
    while any(len(each) < len(committed) for each in seen):
        await asyncio.sleep(0.05)
    after = usage(pid)
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    cpu = {name: (after[name].cpu - before.get(name, Usage()).cpu) / len(committed) * 1000 for name in after}
    late = sorted(at - committed[event_id] for each in seen for event_id, at in each.items())
    times = ""
    if late:
        most = late[len(late) * 95 // 100]
        times = f"seen after {statistics.median(late) * 1000:.0f} ms, 95 % within {most * 1000:.0f} ms; "
    spent = ", ".join(f"{name} {value:.3f} ms" for name, value in sorted(cpu.items()) if value)
    print(f"{watchers:>3} watchers: {len(committed) / seconds:.0f} events/s; {times}CPU an event: {spent}")


async def measure(pipe: Connection, pid: int) -> None:
    port, url = pipe.recv()
    server = f"127.0.0.1:{port}"
    async with Client(server, admin_token=TOKEN) as admin:
        await admin.create_domain(DOMAIN)
    db = await open_database(url, cipher=make_cipher())
    await ensure_partitions(db, [week_of(datetime.now(UTC))])
    await store(db, "warm")
    for watchers in (0, 1, 50, 0):
        await one_run(server, db, pid, watchers)
    await db.close()
    pipe.send("stop")


def main() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    try:
        uvloop.run(measure(ours, server.pid or 0))
        server.join(30)
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
