"""The speed at which events become rows and counters, from NATS to PostgreSQL, also after a redelivery of all events.

    python -m tests.bench.bench_stats [events] [burst]

The stats component runs here, as in `kannon serve`, on a durable embedded PostgreSQL and NATS. The stream is filled
first, with bursts of 100 events, a message for each type, as senders publish them; a burst of 1 is a message for each
event. Out: events per second until the last one is counted, then the same for a redelivery of every event under new
message ids. Exit code 1 if the redelivery changes rows or counters.
"""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import uvloop
from prometheus_client import CollectorRegistry

from kannon.bus.bus import Bus
from kannon.bus.events import pack
from kannon.bus.streams import STATS_SUBJECTS
from kannon.components.stats import Stats
from kannon.db.migrate import migrate
from kannon.db.pool import Database, open_database
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.log import setup_logging
from kannon.mail.event import Event, EventType
from kannon.mail.suppression import SuppressionRule
from kannon.mail.tracking import TrackingMode
from kannon.metrics.metrics import Metrics
from tests.support.cipher import make_cipher

DOMAINS = 20
_PAGE = 2000
_MIX = (EventType.ACCEPTED, EventType.DELIVERED, EventType.ACCEPTED, EventType.DELIVERED, EventType.OPENED)


def events(count: int) -> list[Event]:
    """Of 20 domains over an hour; one in ten is anonymous, one in a hundred a bounce that suppresses."""
    start = datetime.now(UTC) - timedelta(hours=1)
    made = []
    for number in range(count):
        event = Event(
            event_id=f"{number}.1.bench",
            type=_MIX[number % len(_MIX)],
            domain=f"d{number % DOMAINS}.example",
            message_id=f"msg_aaaaaaaaaaaaaaaaaaaaaaaa@d{number % DOMAINS}.example",
            email=f"reader{number}@inbox{number % 50}.example",
            at=start + timedelta(seconds=number * 3600 / count),
            delivery_id=number,
            attempt=1,
            code=250,
            text="2.0.0 Ok: queued as 4b2C3d4E5f6a7b8c9",
            host=f"mx1.inbox{number % 50}.example",
        )
        if number % 100 == 0:
            event = replace(event, type=EventType.BOUNCED, permanent=True, code=550, enhanced_status="5.1.1")
        elif number % 10 == 4:
            event = replace(event, tracking_mode=TrackingMode.ANONYMOUS, email="", delivery_id=0)
        made.append(event)
    return made


async def publish(bus: Bus, page: Sequence[Event], burst: int, again: str) -> None:
    messages = [
        message._replace(msg_id=f"{message.msg_id}{again}")
        for start in range(0, len(page), burst)
        for message in pack(page[start : start + burst], lambda event: STATS_SUBJECTS[event.type])
    ]
    for start in range(0, len(messages), _PAGE):
        await bus._publish(messages[start : start + _PAGE])


async def contents(db: Database) -> tuple[int, int, dict[str, int]]:
    async with db.acquire() as connection:
        rows = await connection.fetchval("SELECT count(*) FROM stats")
        suppressions = await connection.fetchval("SELECT count(*) FROM suppressions")
        counts = await connection.fetch("SELECT type, sum(count)::bigint AS n FROM aggregated_stats GROUP BY type")
    return rows, suppressions, {row["type"]: row["n"] for row in counts}


async def run_until_stored(db: Database, bus: Bus, count: int) -> float:
    """Seconds from the start of the component to the last event."""
    seen = 0

    class Counting(Metrics):
        def stored(
            self, events: Sequence[Event], fresh: Mapping[tuple[str, EventType], int], waited: Sequence[float]
        ) -> None:
            nonlocal seen
            super().stored(events, fresh, waited)
            seen += len(events)
            if seen >= count:
                stop.set()

    stats = Stats(
        db,
        bus,
        retention=timedelta(days=365),
        rule=SuppressionRule(),
        clock=lambda: datetime.now(UTC),
        metrics=Counting(CollectorRegistry()),
    )
    stop = anyio.Event()
    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        await group.start(partial(stats.run, stop))
    return time.perf_counter() - start


async def measure(folder: Path, count: int, burst: int) -> bool:
    with DataDir.open(folder) as data_dir:
        postgres, nats = EmbeddedPostgres(data_dir.path), EmbeddedNats(data_dir.path)
        await postgres.start()
        await nats.start()
        try:
            await migrate(postgres.url)
            db, bus = await open_database(postgres.url, cipher=make_cipher()), Bus(nats.url)
            await bus.ready()
            async with db.acquire() as connection:
                await connection.executemany(
                    "INSERT INTO domains (domain) VALUES ($1)", [(f"d{n}.example",) for n in range(DOMAINS)]
                )
            page = events(count)
            await publish(bus, page, burst, "")
            seconds = await run_until_stored(db, bus, count)
            first = await contents(db)
            print(f"{count} events: {count / seconds:.0f}/s; rows {first[0]}, suppressions {first[1]}, {first[2]}")
            await bus._connection.jetstream().purge_stream(
                "kannon_stats"
            )  # no dispatcher of this benchmark takes these
            await publish(bus, page, burst, ".again")
            seconds = await run_until_stored(db, bus, count)
            second = await contents(db)
            print(f"redelivered: {count / seconds:.0f}/s; {'nothing changed' if first == second else f'now {second}'}")
            await bus.close()
            await db.close()
            return first == second and sum(first[2].values()) == count
        finally:
            await nats.stop()
            nats.close()
            await postgres.stop()


def main() -> None:
    setup_logging("warning")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    burst = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        sys.exit(0 if uvloop.run(measure(Path(folder) / "data", count, burst)) else 1)


if __name__ == "__main__":
    main()
