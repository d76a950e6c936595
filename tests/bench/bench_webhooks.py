"""What webhooks take: events a second to one endpoint, the wait beside endpoints that hang, and beside a replay.

    python -m tests.bench.bench_webhooks [events]

The component runs here, as in `kannon serve`, on a durable embedded PostgreSQL and NATS; the endpoints are an HTTP
server in a process of its own. Out: events a second in batches of 100 and one by one; the time from stored to posted of
180 endpoints beside 20 that hang; and of new events during a replay of 100,000. Exit code 1 below the targets.
"""

import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import anyio
import uvloop

from kannon.bus.bus import Bus
from kannon.components.webhooks import Webhooks
from kannon.db.migrate import migrate
from kannon.db.pool import Database, open_database
from kannon.db.webhooks import insert_replay
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.log import setup_logging
from kannon.mail.event import Event
from kannon.outbound.http_post import Poster
from tests.support.cipher import make_cipher
from tests.support.webhooks import add_endpoint, event, store, waiting

BATCHED_TARGET, SINGLE_TARGET, P95_TARGET = 2000, 300, 2.0
ENDPOINTS, HANGING = 200, 20


class Receiver(asyncio.Protocol):
    """Answers 200 at once, or never where the path is /hang."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(self._received) < end + 4 + size:
                return
            self._received = self._received[end + 4 + size :]
            if b" /hang " not in head:
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def receive(ports: "multiprocessing.Queue[int]") -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


class Waits:
    """Seconds from stored to posted of each event."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def webhook_posted(self, events: int, result: str, waited: Sequence[float]) -> None:
        self.seconds += waited

    def webhook_gave_up(self, events: int) -> None: ...
    def webhook_disabled(self) -> None: ...

    def take(self, share: float = 0.95) -> float:
        found, self.seconds = sorted(self.seconds), []
        return found[int(len(found) * share)]


async def empty(db: Database, most: int = 0) -> None:
    while await waiting(db) > most:
        await anyio.sleep(0.01)


async def measure(db: Database, bus: Bus, url: str, count: int) -> bool:
    waits = Waits()
    number = 0

    def fresh(many: int, domain: str) -> list[Event]:
        nonlocal number
        number += many
        return [event(number - n, domain=domain) for n in range(many)]

    async def running(group: anyio.abc.TaskGroup) -> anyio.Event:
        stop = anyio.Event()
        poster = Poster(allow_private=True)
        await group.start(Webhooks(db, bus, poster, owner="bench", chance=lambda: 0.0, metrics=waits).run, stop)
        return stop

    good = True
    async with anyio.create_task_group() as group:
        for name, batch, target in (("batches of 100", 100, BATCHED_TARGET), ("one by one", 1, SINGLE_TARGET)):
            domain = f"b{batch}.example"
            await add_endpoint(db, f"{url}/hook", name=f"b{batch}", domain=domain, max_batch=batch)
            await store(db, fresh(count, domain))
            start = time.monotonic()
            stop = await running(group)
            await empty(db)
            speed = count / (time.monotonic() - start)
            stop.set()
            good &= speed >= target
            print(f"{name}: {speed:,.0f} events/s (target {target:,})", flush=True)
        waits.take()
        stop = await running(group)
        for n in range(ENDPOINTS):
            path = "hang" if n < HANGING else "hook"
            await add_endpoint(db, f"{url}/{path}", name=f"many{n}", domain=f"many{n}.example", max_batch=100)
        for _ in range(50):
            page = [each for n in range(ENDPOINTS) for each in fresh(1, f"many{n}.example")]
            await store(db, page)
            await anyio.sleep(0.2)
        await empty(db, 50 * HANGING)
        p95 = waits.take()
        good &= p95 <= P95_TARGET
        print(f"{ENDPOINTS - HANGING} endpoints beside {HANGING} that hang: p95 {p95:.2f} s (target {P95_TARGET:g})")
        async with db.acquire() as connection:
            await connection.execute("DELETE FROM webhook_endpoints WHERE url LIKE '%/hang'")
            await connection.execute("DELETE FROM webhook_outbox")
        old = datetime.now(UTC) - timedelta(hours=2)
        await store(db, [event(10_000_000 + n, domain="replay.example", at=old) for n in range(100_000)])
        endpoint = await add_endpoint(db, f"{url}/hook", name="replay", domain="replay.example", max_batch=100)
        start = time.monotonic()
        await insert_replay(db, endpoint, old - timedelta(hours=1), old + timedelta(hours=1))
        fresh_waits = []
        async with db.acquire() as connection:
            while await connection.fetchval("SELECT count(*) FROM webhook_replays"):
                await store(db, fresh(10, "replay.example"))
                stored = time.monotonic()
                while await connection.fetchval("SELECT EXISTS (SELECT FROM webhook_outbox WHERE NOT replay)"):
                    await anyio.sleep(0.005)
                fresh_waits.append(time.monotonic() - stored)
        await empty(db)
        seconds = time.monotonic() - start
        slow = sorted(fresh_waits)[int(len(fresh_waits) * 0.95)]
        good &= slow <= P95_TARGET
        print(f"replay: {100_000 / seconds:,.0f} events/s; new events beside it: p95 {slow:.2f} s")
        stop.set()
    return good


async def bench(folder: Path, url: str, count: int) -> bool:
    with DataDir.open(folder / "data") as data_dir:
        postgres, nats = EmbeddedPostgres(data_dir.path), EmbeddedNats(data_dir.path)
        await postgres.start()
        await nats.start()
        try:
            await migrate(postgres.url)
            db, bus = await open_database(postgres.url, cipher=make_cipher()), Bus(nats.url)
            await bus.ready()
            good = await measure(db, bus, url, count)
            await bus.close()
            await db.close()
            return good
        finally:
            await nats.stop()
            await postgres.stop()
            nats.close()


def main() -> int:
    setup_logging("error")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    receiver = context.Process(target=receive, args=(ports,), daemon=True)
    receiver.start()
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        url = f"http://127.0.0.1:{ports.get()}"
        return 0 if uvloop.run(bench(Path(folder), url, count)) else 1


if __name__ == "__main__":
    sys.exit(main())
