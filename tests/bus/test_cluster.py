"""The bus on a cluster of three nats-servers that loses one, whichever leads."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import nats
import pytest

from kannon.bus import streams
from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.settle import Message
from kannon.errors import OperatorError, Unavailable
from kannon.mail.event import Event, EventType
from tests.support.consume import read
from tests.support.nats_cluster import Cluster, running_cluster
from tests.support.patience import patience

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAGES = 20
PAGE = 50


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    with running_cluster(tmp_path) as cluster:
        await cluster.ready()
        yield cluster


async def ready(bus: Bus) -> None:
    """As the runner does it: a stream that moves is away for a moment."""
    with patience():
        while True:
            try:
                return await bus.ready()
            except Unavailable:
                await anyio.sleep(0.1)


async def replicas(url: str) -> set[int | None]:
    client = await nats.connect(url.split(","))
    buckets = [f"KV_{streams.POLICIES}", f"KV_{streams.WARM_UP}"]
    names = [*(stream.name for stream in streams.STREAMS), f"OBJ_{streams.BODIES}", *buckets]
    found = {(await client.jetstream().stream_info(name)).config.num_replicas for name in names}
    await client.close()
    return found


async def test_each_stream_is_kept_as_often_as_the_operator_says(cluster: Cluster) -> None:
    for count in (1, 3):
        bus = Bus(cluster.url, replicas=count)
        await ready(bus)
        await bus.close()
        assert await replicas(cluster.url) == {count}


async def test_more_replicas_than_servers_are_refused(cluster: Cluster, nats_url: str) -> None:
    for url, count in ((cluster.url, 5), (nats_url, 3)):
        bus = Bus(url, replicas=count)
        with pytest.raises(OperatorError, match=rf"^nats.replicas: {count} need as many NATS servers: "):
            await bus.ready()
        await bus.close()


async def test_a_server_is_lost_and_no_event_with_it(cluster: Cluster) -> None:
    """Whoever leads the stream is killed in the midst of publishing and consuming; each event arrives all the same."""
    bus = Bus(cluster.url, replicas=3)
    await ready(bus)
    stop = anyio.Event()
    seen: set[str] = set()

    async def handle(page: list[Message]) -> None:
        for message in page:
            seen.update(event.event_id for event in read([message]))
            await message.ack()
        if len(seen) == PAGES * PAGE:
            stop.set()

    async def consume() -> None:
        while not stop.is_set():
            try:
                await bus.consume(streams.STATS, handle, Limits(page=PAGE, in_flight=4 * PAGE), stop=stop)
            except Unavailable:
                await anyio.sleep(0.1)

    with patience():
        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            for number in range(PAGES):
                if number == PAGES // 2:
                    cluster.kill(await cluster.leader_of("kannon_stats"))
                await publish(bus, page_of_events(number))
    await bus.close()
    assert len(seen) == PAGES * PAGE


def page_of_events(number: int) -> list[Event]:
    return [
        Event(
            f"e{number}.{n}", EventType.DELIVERED, "example.com", "m@example.com", "a@example.org", NOW, delivery_id=n
        )
        for n in range(PAGE)
    ]


async def publish(bus: Bus, events: list[Event]) -> None:
    """As every component does it: the whole page again, under the same ids, until it is taken."""
    while True:
        try:
            return await bus.publish_events(events)
        except Unavailable:
            await anyio.sleep(0.1)
