"""Backups: made and restored while Kannon serves, made before a migration; other files are refused."""

import json
import math
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import asyncpg
import pytest

from kannon.db.migrate import known_migrations
from kannon.embedded import DataDir, EmbeddedPostgres
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.command import Command
from tests.support.http import request
from tests.support.inbox import Inbox, inbox
from tests.support.kannon_process import Client, Kannon
from tests.support.patience import patience

DOMAIN = "example.com"


@pytest.fixture
async def box() -> AsyncIterator[Inbox]:
    async with inbox() as box:
        yield box


@pytest.fixture
async def kannon(tmp_path: Path, box: Inbox) -> AsyncIterator[Kannon]:
    routes = [{"domain": "*", "host": "127.0.0.1", "port": box.port, "tls": "none"}]
    kannon = Kannon(tmp_path / "data", {"KANNON_SENDER__ROUTES": json.dumps(routes)})
    yield kannon
    kannon.kill()


@pytest.fixture
def command(kannon: Kannon, tmp_path: Path) -> Command:
    return Command(tmp_path, {"KANNON_DATA_DIR": str(kannon.data_dir)})


async def send(client: Client, *addresses: str) -> None:
    recipients = [Recipient(email=address) for address in addresses]
    await client.send(
        SendHTMLReq(sender=Sender(email=f"news@{DOMAIN}"), subject="x", html="<p>x</p>", recipients=recipients)
    )


async def backup_age(kannon: Kannon) -> float:
    """Seconds, as the metrics have it."""
    answer = await request(kannon.ports["metrics"], "/metrics")
    [age] = re.findall(r"^kannon_backup_age_seconds (\S+)$", answer.body.decode(), re.M)
    return float(age)


async def query(kannon: Kannon, statement: str) -> object:
    connection = await asyncpg.connect(kannon.postgres_url())
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_backup_and_restore_work_while_kannon_serves(
    kannon: Kannon, command: Command, box: Inbox, tmp_path: Path
) -> None:
    await kannon.start().ready()
    client = kannon.client()
    await client.add_domain(DOMAIN)
    await send(client, "ann@inbox.test")
    await client.outcomes(DOMAIN, 1)

    assert await backup_age(kannon) == math.inf
    written = await command("backup", "kannon.dump")
    with patience():
        while await backup_age(kannon) == math.inf:
            await anyio.sleep(0.1)
    assert (written.code, written.err) == (0, "")
    assert written.out.startswith(f"wrote {tmp_path}/kannon.dump (")
    assert (tmp_path / "kannon.dump").stat().st_mode & 0o077 == 0

    await client.add_domain("later.example")
    await send(client, "bob@inbox.test")
    await client.outcomes(DOMAIN, 2)
    last = await query(kannon, "SELECT last_value FROM sending_pool_emails_id_seq")
    key = await query(kannon, "SELECT kid FROM stats_keys")

    restored = await command("restore", "kannon.dump")
    assert (restored.code, restored.err) == (0, "")
    assert "saved the former database as " in restored.out
    assert restored.out.endswith("the running kannon serve uses it now\n")
    assert (await command("domains", "list", "--server", f"127.0.0.1:{kannon.ports['api']}")).rows[0][0] == DOMAIN
    assert {e.email for e in await client.events(DOMAIN)} == {"ann@inbox.test"}
    assert await query(kannon, f"SELECT last_value > {last} FROM sending_pool_emails_id_seq")
    assert await query(kannon, f"SELECT count(*) FROM stats_keys WHERE kid = '{key}'") == 1
    assert await query(kannon, "SELECT count(*) FROM pg_database WHERE datname LIKE 'kannon%'") == 1

    await send(client, "carl@inbox.test")
    assert (await client.outcomes(DOMAIN, 2)).keys() == {"ann@inbox.test", "carl@inbox.test"}
    assert box.copies().keys() == {"ann@inbox.test", "bob@inbox.test", "carl@inbox.test"}
    client.close()
    assert await kannon.stop() == 0
    assert "Traceback" not in kannon.text()


async def test_a_file_that_is_not_a_backup_changes_nothing(kannon: Kannon, command: Command, tmp_path: Path) -> None:
    await kannon.start().ready()
    client = kannon.client()
    await client.add_domain(DOMAIN)
    assert (await command("backup", "whole")).code == 0
    whole = (tmp_path / "whole").read_bytes()
    middle = len(whole) // 2
    damaged = {
        "half": whole[:middle],
        "altered": whole[:middle] + bytes(byte ^ 0x55 for byte in whole[middle : middle + 64]) + whole[middle + 64 :],
        "text": b"not a backup at all\n" * 100,
        "empty": b"",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        refused = await command("restore", name)
        assert (refused.code, refused.out) == (1, ""), name
        assert refused.err.startswith(f"kannon: {tmp_path}/{name} is not a backup of Kannon, or is damaged: ")
        assert refused.err.count("\n") == 1
    missing = await command("restore", "missing")
    assert (missing.code, missing.err) == (1, f"kannon: {tmp_path}/missing: no such file\n")
    for place, problem in ((tmp_path, "is a directory"), (tmp_path / "no" / "where", "No such file or directory")):
        unwritten = await command("backup", str(place))
        assert unwritten.code == 1
        assert problem in unwritten.err
    assert not (kannon.data_dir / "backups").exists()
    assert await query(kannon, "SELECT count(*) FROM pg_database WHERE datname LIKE 'kannon%'") == 1
    assert await query(kannon, "SELECT count(*) FROM domains") == 1
    client.close()
    assert await kannon.stop() == 0


@pytest.mark.as_built
async def test_a_stopped_kannon_is_backed_up_and_restored_onto_an_empty_machine(
    kannon: Kannon, command: Command, tmp_path: Path
) -> None:
    """The commands start the database themselves; a restore creates the data_dir."""
    nothing = await command("backup", "kannon.dump")
    assert (nothing.code, nothing.err) == (1, f"kannon: data_dir {kannon.data_dir} holds no embedded database\n")
    assert not kannon.data_dir.exists()
    await kannon.start().ready()
    client = kannon.client()
    await client.add_domain(DOMAIN)
    client.close()
    assert await kannon.stop() == 0
    written = await command("backup", "kannon.dump")
    assert written.code == 0
    assert re.search(r"the master key [0-9a-f]{12} is not in it, and a restore needs it: keep a copy of ", written.out)
    command.env["KANNON_DATA_DIR"] = str(tmp_path / "other")
    refused = await command("restore", "kannon.dump")
    assert (refused.code, refused.out) == (1, "")
    assert re.search(
        r"secrets are encrypted with master key [0-9a-f]{12}, which this node does not have; nothing is changed",
        refused.err,
    )
    shutil.copy(kannon.data_dir / "master_key", tmp_path / "other")
    restored = await command("restore", "kannon.dump")
    assert (restored.code, restored.out) == (0, f"restored {tmp_path}/kannon.dump\n")
    other = Kannon(tmp_path / "other")
    try:
        await other.start().ready()
        assert await query(other, "SELECT domain FROM domains") == DOMAIN
        assert await other.stop() == 0
    finally:
        other.kill()


async def test_backup_refuses_an_external_database(command: Command, tmp_path: Path) -> None:
    command.env["KANNON_POSTGRES__URL"] = "postgres://elsewhere/kannon"
    (tmp_path / "some.dump").touch()
    for name in ("backup", "restore"):
        refused = await command(name, "some.dump")
        assert refused.code == 1
        assert refused.err.startswith("kannon: postgres.url is set: ")
        assert refused.err.count("\n") == 1


async def at_version_one(data_dir: Path) -> None:
    """A data directory of schema version 1 that holds a domain."""
    first, *later = known_migrations()
    assert later, "there is nothing to migrate yet"
    with DataDir.open(data_dir) as opened:
        server = EmbeddedPostgres(opened.path)
        await server.start()
        try:
            connection = await asyncpg.connect(server.url)
            await connection.execute(first.sql)
            await connection.execute(
                "CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT now())"
            )
            await connection.execute("INSERT INTO schema_migrations (version, name) VALUES (1, $1)", first.name)
            await connection.execute("INSERT INTO domains (domain) VALUES ('old.example')")
            await connection.close()
        finally:
            await server.stop()


async def test_an_old_data_dir_is_backed_up_and_migrated(kannon: Kannon, command: Command) -> None:
    await at_version_one(kannon.data_dir)
    await kannon.start().ready()
    assert await query(kannon, "SELECT max(version) FROM schema_migrations") == len(known_migrations())
    assert await query(kannon, "SELECT domain FROM domains") == "old.example"
    assert await kannon.stop() == 0
    (dump,) = (kannon.data_dir / "backups").iterdir()
    assert dump.name.endswith("-schema-1.dump")
    await kannon.start().ready()
    restored = await command("restore", str(dump))  # a restore migrates an older backup
    assert restored.code == 0
    assert f"applied {known_migrations()[1].name}\n" in restored.out
    assert await query(kannon, "SELECT max(version) FROM schema_migrations") == len(known_migrations())
    assert await kannon.stop() == 0
    assert len(list((kannon.data_dir / "backups").iterdir())) == 2


async def test_restore_refuses_a_newer_schema_in_one_line(kannon: Kannon, command: Command) -> None:
    await kannon.start().ready()
    await query(kannon, "INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")
    assert (await command("backup", "newer.dump")).code == 0
    assert await kannon.stop() == 0
    assert await kannon.start().ended() == 1
    (line,) = [line for line in kannon.text().splitlines() if line.startswith("kannon: ")]
    assert "version 9999" in line
    assert "install a newer Kannon" in line
    assert not (kannon.data_dir / "backups").exists()
    refused = await command("restore", "newer.dump")
    assert refused.code == 1
    assert "version 9999" in refused.err
    assert refused.err.count("\n") == 1
