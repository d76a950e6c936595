"""What an operator waits for in a large installation.

    python -m tests.bench.bench_growth [--rows 5000000] [--events 10000000] [--tenants 300] [--data FOLDER]

In: the numbers of waiting deliveries, events (of 72 days) and tenants. Half of all rows belong to one tenant. With
--data the data stays in that folder, and a second run uses it again. Out: a table with the median and the longest of
five calls, and the bound. The server is `kannon serve` on its embedded PostgreSQL: with the api alone for reads, and
complete for single mails, while it sends the due half of the backlog into smtp-sink.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.client import Channel

from kannon.bus.bus import Bus
from kannon.db.migrate import migrate
from kannon.db.pool import Database, open_database
from kannon.db.queries import queries
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.pb.admin.v1 import operations_pb2 as operations
from kannon.pb.admin.v1.operations_grpc import OperationsStub
from kannon.pb.stats.apiv1 import statsapiv1_pb2 as v1
from kannon.pb.stats.apiv1.statsapiv1_grpc import StatsApiV1Stub
from kannon.pb.stats.apiv2 import statsapiv2_pb2 as v2
from kannon.pb.stats.apiv2.statsapiv2_grpc import StatsApiV2Stub
from tests.bench import bench_stats
from tests.bench.growth_data import DAYS, Size, grow
from tests.bench.run import Sink
from tests.bench.workloads import html, request
from tests.support.cipher import make_cipher
from tests.support.explain import explain
from tests.support.http import request as http_get
from tests.support.kannon_process import Client, Kannon

CALLS = 5
SINGLES = 10
DOMAINS = 10_000
INGESTED = 50_000
OTHER = "other.example"
BIG = "t0.test"
_QUIET = {"KANNON_LOG__LEVEL": "warning"}
_COMPLETE = (
    f"""INSERT INTO dkim_keys (domain, selector, algorithm, private_pem, public_key, active)
        SELECT d.domain, k.selector, k.algorithm, k.private_pem, k.public_key, true FROM domains d, dkim_keys k
        WHERE k.domain = '{OTHER}' AND d.domain LIKE 't%.test' ON CONFLICT DO NOTHING""",
    f"""INSERT INTO templates (template_id, domain, type, html)
        SELECT 'template_' || domain, domain, 'transient', '{html().replace("'", "''")}' FROM domains
        ON CONFLICT DO NOTHING""",
    "UPDATE messages SET template_id = 'template_' || domain WHERE template_id IS NULL",
)
"""What sends would have stored, for all tenants."""


def row(what: str, unit: str, values: list[float], bound: str) -> None:
    print(f"{what:44} {statistics.median(values):10,.1f} {max(values):10,.1f} {unit:4} {bound}", flush=True)


async def measure(what: str, call: Callable[[], Awaitable[object]], bound: str) -> None:
    """The first call, which fills caches, counts too."""
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1000)
    row(what, "ms", times, bound)


async def fill(folder: Path, size: Size) -> None:
    """Nothing where the folder has such data already."""
    with DataDir.open(folder) as data_dir:
        server = EmbeddedPostgres(data_dir.path)
        await server.start()
        try:
            await migrate(server.url)
            db = await open_database(server.url, cipher=make_cipher())
            async with db.acquire() as connection:
                filled = await connection.fetchval("SELECT EXISTS (SELECT FROM domains)")
            if not filled:
                began = time.monotonic()
                await grow(db, size)
                print(f"{size} made in {time.monotonic() - began:.0f} s", flush=True)
            await db.close()
        finally:
            await server.stop()


async def reads(folder: Path, size: Size) -> None:
    kannon = Kannon(folder, _QUIET, ["--only", "api"], fresh=True)
    try:
        await kannon.start().ready()
        await measure("scrape of /metrics", lambda: http_get(kannon.ports["metrics"], "/metrics"), "<= 200")
        client = kannon.client()
        await _lists(OperationsStub(client.channel), client)
        await _statistics(client.channel, client, size)
        client.close()
        db = await open_database(kannon.postgres_url(), pool_size=2, cipher=make_cipher())
        await _claims(db)
        await db.close()
        await kannon.stop()
    finally:
        kannon.kill()


async def _lists(stub: OperationsStub, client: Client) -> None:
    async def deliveries(**fields: object) -> list[operations.Delivery]:
        wanted = operations.ListDeliveriesRequest(take=20, **fields)  # type: ignore[arg-type]
        return list((await stub.ListDeliveries(wanted, metadata=client.admin)).deliveries)

    [first, *_] = await deliveries()
    filters: dict[str, dict[str, object]] = {
        "queue list": {},
        "queue list, a tenant": {"domain": BIG},
        "queue list, a state": {"state": "scheduled"},
        "queue list, another state": {"state": "sending"},
        "queue list, a batch": {"message_id": first.message_id},
        "queue list, an address": {"email": first.email},
        "queue list, after 50,000": {"skip": 50_000},
    }
    for name, fields in filters.items():
        await measure(name, partial(deliveries, **fields), "<= 200")
    wanted = operations.ListBatchesRequest(domain=BIG, take=20)
    await measure("batches list", lambda: stub.ListBatches(wanted, metadata=client.admin), "<= 200")
    progress = operations.GetBatchRequest(message_id=first.message_id)
    await measure("batches show", lambda: stub.GetBatch(progress, metadata=client.admin), "<= 200")


async def _statistics(channel: Channel, client: Client, size: Size) -> None:
    stub, newer, now = StatsApiV1Stub(channel), StatsApiV2Stub(channel), datetime.now(UTC)
    begin, end = Timestamp(), Timestamp()
    begin.FromDatetime(now - timedelta(days=DAYS, minutes=7))
    end.FromDatetime(now)

    def page(skip: int, take: int = 20) -> Awaitable[v1.GetStatsRes]:
        return stub.GetStats(
            v1.GetStatsReq(domain=BIG, from_date=begin, to_date=end, skip=skip, take=take), metadata=client.admin
        )

    await measure("GetStats, first page", lambda: page(0), "<= 200")
    await measure("GetStats, the page in the middle", lambda: page(size.events // 4), "<= 200")
    await measure("GetStats, the total", lambda: page(0, 0), "<= 200")
    hourly = v1.GetStatsAggregatedReq(domain=BIG, from_date=begin, to_date=end)
    await measure("hours of 72 days, v1", lambda: stub.GetStatsAggregated(hourly, metadata=client.admin), "<= 500")
    counted = v2.GetAggregatedStatsReq(domain=BIG, from_date=begin, to_date=end)
    await measure("hours of 72 days, v2", lambda: newer.GetAggregatedStats(counted, metadata=client.admin), "<= 500")


async def _claims(db: Database) -> None:
    for name in ("claim_due", "claim_to_validate"):
        times = []
        for _ in range(CALLS):
            async with db.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                await queries.keep_to_indexes(connection)
                times.append((await explain(connection, name, page=200, cursor="t5.test")).milliseconds)
                await transaction.rollback()
        row(f"{name}, 200", "ms", times, "<= 15")


async def singles(folder: Path) -> None:
    """During the backlog's delivery, from the call to the delivered event's own time."""
    sink = Sink(folder.parent)
    routes = [{"domain": "*", "host": "127.0.0.1", "port": sink.port, "tls": "none"}]
    kannon = Kannon(folder, {**_QUIET, "KANNON_SENDER__ROUTES": json.dumps(routes)}, fresh=True)
    try:
        await kannon.start().ready()
        client = kannon.client()
        await client.add_domain(OTHER)
        database = await asyncpg.connect(kannon.postgres_url())
        for statement in _COMPLETE:
            await database.execute(statement)
        await database.close()
        await asyncio.sleep(10)  # the dispatcher's cache of absent templates, and the beginning
        row("a single mail of another tenant", "ms", [await _single(client, n) for n in range(SINGLES)], "<= 500")
        client.close()
        await kannon.stop()
    finally:
        kannon.kill()
        sink.stop()


async def _single(client: Client, number: int) -> float:
    send = request(1, domain=OTHER)
    send.recipients[0].email = f"single{time.time_ns()}.{number}@inbox.example"
    began = time.time()
    await client.send(send)
    while True:
        for event in await client.events(OTHER):
            if event.email == send.recipients[0].email and event.type == "delivered":
                return (event.timestamp.ToNanoseconds() / 1e9 - began) * 1000
        await asyncio.sleep(0.05)


async def ingest(folder: Path) -> None:
    """From NATS to PostgreSQL, beside the stored events."""
    with DataDir.open(folder) as data_dir, tempfile.TemporaryDirectory(prefix="kannon-bench-") as nats_folder:
        postgres, nats = EmbeddedPostgres(data_dir.path), EmbeddedNats(Path(nats_folder))
        await postgres.start()
        await nats.start()
        try:
            db, bus = await open_database(postgres.url, cipher=make_cipher()), Bus(nats.url)
            await bus.ready()
            await bench_stats.publish(bus, bench_stats.events(INGESTED), 100, f".{time.time_ns()}")
            seconds = await bench_stats.run_until_stored(db, bus, INGESTED)
            row("events stored a second", "", [INGESTED / seconds], ">= 8,000")
            await bus.close()
            await db.close()
        finally:
            await nats.stop()
            nats.close()
            await postgres.stop()


async def ready(folder: Path) -> float:
    kannon = Kannon(folder, _QUIET, fresh=True)
    began = time.monotonic()
    try:
        await kannon.start().ready()
        took = time.monotonic() - began
        await kannon.stop()
        return took
    finally:
        kannon.kill()


async def domains(folder: Path) -> None:
    """Without mail: what 10,000 domains alone cost a start."""
    without = [await ready(folder) for _ in range(3)][1:]
    with DataDir.open(folder) as data_dir:
        server = EmbeddedPostgres(data_dir.path)
        await server.start()
        connection = await asyncpg.connect(server.url)
        await connection.execute(
            "INSERT INTO domains (domain) SELECT 'd' || n || '.test' FROM generate_series(1, $1) n", DOMAINS
        )
        await connection.close()
        await server.stop()
    row("ready, no domain", "s", without, "")
    row("ready, 10,000 domains", "s", [await ready(folder) for _ in range(2)], "<= 1 more")


async def run(folder: Path, size: Size) -> None:
    await fill(folder, size)
    print(f"{'':44} {'median':>10} {'longest':>10}")
    await reads(folder, size)
    await ingest(folder)
    await singles(folder)
    await domains(folder.parent / f"{folder.name}-domains")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--tenants", type=int, default=300)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    size = Size(arguments.rows, arguments.events, arguments.tenants)
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        asyncio.run(run((arguments.data or Path(folder) / "data").absolute(), size))


if __name__ == "__main__":
    main()
