"""A dispatcher or validator that is killed: the others release its claims long before the lease ends."""

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from kannon.bus.bus import Bus
from kannon.components.validator import Validator
from kannon.db.pool import Database
from kannon.embedded import DataDir, EmbeddedNats
from tests.components.dispatcher.test_away import running, until_sent
from tests.components.dispatcher.test_scheduler import insert_dkim_key
from tests.support.envelopes import an_envelope
from tests.support.patience import patience
from tests.support.pool import insert_batch, states

_CLAIMS = """
import anyio, sys
from kannon.db.pool import open_database
from kannon.db.presence import DISPATCHER, VALIDATOR, watch_presence
from kannon.db.queue import claim_due, claim_to_validate
from tests.support.cipher import make_cipher

async def nothing(now): ...

async def main():
    db = await open_database(sys.argv[1], cipher=make_cipher())
    role = DISPATCHER if sys.argv[2] == "dispatcher" else VALIDATOR
    async with anyio.create_task_group() as group:
        group.start_soon(watch_presence, db, role, nothing)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        await (claim_due if role == DISPATCHER else claim_to_validate)(db, 100)
        print("claimed", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


def another_process(url: str, role: str) -> "subprocess.Popen[str]":
    """Is present, and claims a page at a line of its input."""
    argv = [sys.executable, "-c", _CLAIMS, url, role]
    return subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )


async def claimed(process: "subprocess.Popen[str]") -> None:
    def ask() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "claimed\n"

    await anyio.to_thread.run_sync(ask)


async def present(db: Database, count: int) -> None:
    """Until so many processes hold the lock."""
    with patience():
        while True:
            async with db.acquire() as connection:
                found = await connection.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            if found >= count:
                return
            await anyio.sleep(0.02)


async def test_the_claims_of_a_killed_dispatcher_are_published_by_another(
    db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert_dkim_key(db)
    with another_process(db.url, "dispatcher") as other:
        try:
            await present(db, 1)
            ids = await insert_batch(db, ["a@x.org", "b@x.org"], state="scheduled")
            await claimed(other)
            async with running(db, bus, lease=timedelta(days=1)):
                await present(db, 2)
                assert set((await states(db)).values()) == {"sending"}
                assert (await bus.backlog()).messages == 0
                other.kill()
                await until_sent(bus, 2)
                assert set(await states(db)) == set(ids)
        finally:
            other.kill()


async def test_the_claims_of_a_killed_validator_are_checked_by_another(
    db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.components.validator.LEASE", timedelta(days=1))
    with another_process(db.url, "validator") as other:
        try:
            await present(db, 1)
            await insert_batch(db, ["a@x.org", "b@x.org"])
            await claimed(other)
            stop = anyio.Event()
            async with anyio.create_task_group() as group:
                await group.start(Validator(db, bus).run, stop)
                await present(db, 2)
                assert set((await states(db)).values()) == {"validating"}
                other.kill()
                with patience():
                    while set((await states(db)).values()) != {"scheduled"}:
                        await anyio.sleep(0.02)
                stop.set()
        finally:
            other.kill()


async def test_claims_of_a_killed_process_are_published_beside_older_envelopes(db: Database, bus: Bus) -> None:
    """Without further processes none watches. The stream has one of the two envelopes, and drops its second one."""
    await insert_dkim_key(db)
    ids = await insert_batch(db, ["a@x.org", "b@x.org"], state="sending")
    await bus.publish_envelopes([an_envelope(delivery_id=ids[0])])
    async with running(db, bus, lease=timedelta(days=1), alone=True):
        await until_sent(bus, 2)
        with patience():
            while set((await states(db)).values()) != {"sending"}:
                await anyio.sleep(0.02)
    assert (await bus.backlog()).messages == 2


async def test_envelopes_that_nats_had_not_written_when_it_was_killed_are_published_again(
    db: Database, tmp_path: Path
) -> None:
    await insert_dkim_key(db)
    [delivery] = await insert_batch(db, ["a@x.org"], state="scheduled")
    with DataDir.open(tmp_path) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        bus = Bus(server.url, syncs=True)
        async with running(db, bus, lease=timedelta(days=1)):
            await until_sent(bus, 1)
            await server.stop()
            [messages] = tmp_path.glob("nats/jetstream/*/streams/kannon_sending/msgs")
            shutil.rmtree(messages)
            await server.start()
            await until_sent(bus, 1)
        assert await states(db) == {delivery: "sending"}
        await bus.close()
        await server.stop()
        server.close()


async def test_claims_do_not_wait_for_their_lease_when_external_servers_lost_their_store(
    db: Database, tmp_path: Path
) -> None:
    """The new envelopes have a higher requeue count, so a sender asks about them before it sends one."""
    await insert_dkim_key(db)
    [delivery] = await insert_batch(db, ["a@x.org"], state="scheduled")
    with DataDir.open(tmp_path) as data_dir:
        server = EmbeddedNats(data_dir.path)
        await server.start()
        bus = Bus(server.url)
        async with running(db, bus, lease=timedelta(days=1)):
            await until_sent(bus, 1)
            await server.stop()
            shutil.rmtree(tmp_path / "nats" / "jetstream")
            await server.start()
            await until_sent(bus, 1)
            async with db.acquire() as connection:
                assert await connection.fetchval("SELECT turn FROM sending_pool_emails") == 1
        assert await states(db) == {delivery: "sending"}
        await bus.close()
        await server.stop()
        server.close()
