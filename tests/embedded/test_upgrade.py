"""Data of an older PostgreSQL, the one of Debian, is upgraded or left unchanged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from kannon.embedded import DataDir, EmbeddedPostgres, executables
from kannon.embedded.child import ProcessSpec, spawn
from kannon.embedded.run_as import choose_run_as, give_to
from kannon.embedded.upgrade import Cluster, data_major, program_major
from kannon.errors import OperatorError


def older_programs() -> Path:
    """Debian's PostgreSQL, whichever it is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert found, "the Debian package postgresql is missing: packaging/install-test-packages installs it"
    return found[0]


@pytest.fixture
async def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """Made by the older PostgreSQL, with a thousand rows in it; its programs are found where they would be."""
    programs = older_programs()
    monkeypatch.setattr(executables, "older_postgres_bin", lambda _, major: programs if major != 18 else None)
    with DataDir.open(tmp_path / "data") as opened:
        home, log = opened.path / "postgres", opened.path / "logs" / "postgres.log"
        account = choose_run_as(home, (programs, home))
        give_to(account, home)
        (opened.path / "conf").mkdir()
        (opened.path / "conf" / "postgresql.conf").touch()
        initdb = [str(programs / "initdb"), "-D", str(home), "-U", "kannon", "-A", "trust", "--no-locale", "-E", "UTF8"]
        assert await spawn(ProcessSpec(initdb, opened.path, log, account)).wait() == 0, log.read_text()
        cluster = Cluster(home, programs, log, account)
        async with cluster.running():
            await execute(home, "postgres", "CREATE DATABASE kannon")
            await execute(home, "kannon", "CREATE TABLE old AS SELECT n FROM generate_series(1, 1000) AS n")
        yield opened.path


async def execute(home: Path, database: str, statement: str) -> None:
    connection = await asyncpg.connect(f"postgresql://kannon@/{database}?host={home}")
    await connection.execute(statement)
    await connection.close()


@asynccontextmanager
async def started(data_dir: Path) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    server = EmbeddedPostgres(data_dir, durable=False)
    await server.start()
    try:
        connection = await asyncpg.connect(server.url)
        yield connection
        await connection.close()
    finally:
        await server.stop()


async def test_old_data_is_upgraded_once_and_the_old_cluster_stays(data_dir: Path) -> None:
    old = program_major(older_programs())
    assert data_major(data_dir / "postgres") == old
    async with started(data_dir) as connection:
        assert await connection.fetchval("SELECT sum(n) FROM old") == 500500
        assert connection.get_server_version().major == 18
    assert data_major(data_dir / "postgres") == 18
    assert data_major(data_dir / f"postgres.{old}") == old
    (dump,) = (data_dir / "backups").iterdir()
    assert dump.name.endswith(f"-postgres.{old}.dump")
    assert dump.stat().st_mode & 0o077 == 0
    async with started(data_dir) as connection:
        assert await connection.fetchval("SELECT count(*) FROM old") == 1000
    assert [path.name for path in (data_dir / "backups").iterdir()] == [dump.name]
    assert not list(data_dir.glob("postgres.new*"))
    assert not (data_dir / "postgres.18").exists()


async def test_a_failed_upgrade_leaves_the_old_data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program_major(older_programs())
    (data_dir / f"postgres.{old}").mkdir()
    with pytest.raises(OperatorError, match="exists already; move it away"):
        await EmbeddedPostgres(data_dir).start()
    (data_dir / f"postgres.{old}").rmdir()
    (data_dir / "backups").touch()
    with pytest.raises(OperatorError, match="backups"):
        await EmbeddedPostgres(data_dir).start()
    assert data_major(data_dir / "postgres") == old
    (data_dir / "backups").unlink()
    async with started(data_dir) as connection:
        assert await connection.fetchval("SELECT count(*) FROM old") == 1000
