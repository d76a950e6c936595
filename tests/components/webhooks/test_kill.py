"""kill -9 of the component's process, and PostgreSQL and NATS away: every event comes, repeats with the same id."""

import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.db.migrate import migrate
from kannon.db.pool import Database, open_database
from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from tests.support.cipher import make_cipher
from tests.support.endpoint import endpoint
from tests.support.patience import patience
from tests.support.webhooks import SECRET, add_endpoint, event, make, running, store, wait_until_empty, waiting

PROGRAM = """
import sys, anyio, secrets, random
from datetime import UTC, datetime
from kannon.bus.bus import Bus
from kannon.components.webhooks import Webhooks
from kannon.db.pool import open_database
from kannon.outbound.http_post import Poster
from tests.support.cipher import make_cipher

async def main():
    db, bus = await open_database(sys.argv[1], cipher=make_cipher()), Bus(sys.argv[2])
    async def now():
        return datetime.now(UTC)
    webhooks = Webhooks(db, bus, Poster(allow_private=True), owner=secrets.token_hex(4), chance=random.random,
                        lost_before=now)
    await webhooks.run(anyio.Event())

anyio.run(main)
"""


@pytest.mark.parametrize(("kills", "events"), [(3, 400), pytest.param(20, 2000, marks=pytest.mark.long)])
async def test_a_killed_process_loses_nothing(
    db: Database, postgres_url: str, nats_url: str, kills: int, events: int
) -> None:
    moments = random.Random(kills)
    command = [sys.executable, "-c", PROGRAM, postgres_url, nats_url]
    async with endpoint(secret=SECRET) as at:
        at.delay = 0.002
        await add_endpoint(db, at.url, max_batch=3)
        await store(db, [event(n) for n in range(1, events + 1)])
        with patience():
            for number in range(kills + 1):
                async with await anyio.open_process(command, stdout=None, stderr=None) as process:
                    begun = len(at.requests)
                    if number < kills:
                        enough = begun + moments.randrange(1, max(2, events // 3 // kills))
                        while len(at.requests) < enough and await waiting(db):
                            await anyio.sleep(0.001)
                    else:
                        while await waiting(db):
                            await anyio.sleep(0.01)
                    with suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
        received = at.received()
    assert set(received) == {event(n).event_id for n in range(1, events + 1)}
    assert all(r.answer == "200" for r in at.requests)


async def test_servers_that_are_away_cost_nothing_but_time(tmp_path: Path) -> None:
    """Requests whose results cannot be stored wait with them: nothing is posted twice."""
    with DataDir.open(tmp_path / "data") as data_dir:
        postgres, nats = EmbeddedPostgres(data_dir.path, durable=False), EmbeddedNats(data_dir.path)
        await postgres.start()
        await nats.start()
        try:
            await migrate(postgres.url)
            db, bus = await open_database(postgres.url, cipher=make_cipher()), Bus(nats.url)
            async with endpoint(secret=SECRET) as at:
                at.delay = 0.02
                await add_endpoint(db, at.url, max_batch=2)
                await store(db, [event(n) for n in range(1, 201)])
                async with running(make(db, bus)):
                    await at.wait(20)
                    await postgres.stop()
                    await nats.stop()
                    await anyio.sleep(0.2)
                    await postgres.start()
                    await at.wait(200)
                    await wait_until_empty(db)
                    await store(db, [event(n) for n in range(201, 211)])  # found by polling: NATS is still away
                    await at.wait(210)
                    await nats.start()
            assert set(at.received().values()) == {1}
            await bus.close()
            await db.close()
        finally:
            await nats.stop()
            await postgres.stop()
            nats.close()
