"""Two senders on a cluster of three nats-servers that loses the leader of the envelopes in mid-batch."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
import structlog

from kannon.bus.bus import Bus
from kannon.bus.consume import Limits
from kannon.bus.streams import OUTCOMES
from kannon.components.dispatcher import Outcomes
from kannon.components.dispatcher.redelivered import RedeliveredEnvelopes
from kannon.db.pool import Database
from kannon.errors import Unavailable
from tests.components.dispatcher.test_outcomes import BUDGET
from tests.components.sender.test_sender import a_sender, running
from tests.support.envelopes import an_envelope
from tests.support.nats_cluster import running_cluster
from tests.support.patience import PATIENCE_SECONDS, patience
from tests.support.pool import insert_batch, states
from tests.support.smtp_peer import Peer, serving

log = structlog.get_logger()

MAILS = 1500


@asynccontextmanager
async def a_dispatcher(db: Database, bus: Bus) -> AsyncIterator[None]:
    """Settles and answers, again each time NATS was away, as the component does."""
    stop = anyio.Event()
    outcomes = Outcomes(db, bus, budget=BUDGET, chance=lambda: 0.5)

    async def again(run: Callable[[], Awaitable[None]]) -> None:
        while not stop.is_set():
            try:
                await run()
            except Unavailable:
                await anyio.sleep(0.25)

    limits = Limits(page=500, in_flight=1000)
    async with anyio.create_task_group() as group:
        group.start_soon(again, partial(bus.consume, OUTCOMES, outcomes.handle_page, limits, stop=stop))
        group.start_soon(again, partial(bus.serve_dispatcher, RedeliveredEnvelopes(db, bus).find_closed, stop))
        yield
        stop.set()


@pytest.mark.long
@pytest.mark.serial
async def test_a_lost_leader_costs_no_second_copy(db: Database, tmp_path: Path) -> None:
    peer = Peer()
    ids = await insert_batch(db, [f"a{n}@x.org" for n in range(MAILS)], state="sending")
    async with AsyncExitStack() as stack:
        cluster = stack.enter_context(running_cluster(tmp_path))
        await cluster.ready()
        buses = [Bus(cluster.url, replicas=3) for _ in range(3)]
        for bus in buses:
            with patience():
                await until_ready(bus)
        port = await stack.enter_async_context(serving(peer))
        await buses[0].publish_envelopes([an_envelope(f"a{n}@x.org", delivery_id=each) for n, each in enumerate(ids)])
        await stack.enter_async_context(a_dispatcher(db, buses[0]))
        for bus in buses[1:]:
            await stack.enter_async_context(running(a_sender(bus, port, concurrency=40)))
        with patience():
            while len(peer.mails) < MAILS // 3:
                await anyio.sleep(0.005)
        cluster.kill(await cluster.leader_of("kannon_sending"))
        killed = time.monotonic()
        left = -1
        with anyio.move_on_after(PATIENCE_SECONDS):
            while left := len(await states(db)):
                await anyio.sleep(0.05)
        seconds = time.monotonic() - killed
        copies = Counter(peer.recipients)
        second = sum(copies.values()) - len(copies)
        log.info("settled after the leader was lost", seconds=round(seconds, 1), second_copies=second)
        for bus in buses:
            stack.push_async_callback(bus.close)
        assert (len(copies), second, left) == (MAILS, 0, 0)


async def until_ready(bus: Bus) -> None:
    while True:
        try:
            return await bus.ready()
        except Unavailable:
            await anyio.sleep(0.1)
