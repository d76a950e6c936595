"""Backups as files: whole or not there, private, and only the last three of those that Kannon makes by itself."""

from datetime import UTC, datetime, timedelta
from functools import partial
from operator import add
from pathlib import Path

import pytest

from kannon.embedded.backup import Backups
from kannon.embedded.executables import installed_postgres_bin
from kannon.errors import OperatorError
from tests.support.mounts import needs_root, tmpfs
from tests.support.servers import TEMPLATE, database_url

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def backups(server_dir: Path, postgres_server: str) -> Backups:
    """Of the session's server, which has the socket in `server_dir`."""
    assert database_url(postgres_server, "kannon") == postgres_server
    return Backups(server_dir, installed_postgres_bin())


async def test_the_last_three_stay(backups: Backups) -> None:
    files = [await backups.write_rotated(f"test-{day}", clock=partial(add, START, timedelta(day))) for day in range(5)]
    folder = backups.data_dir / "backups"
    assert sorted(folder.iterdir()) == files[2:]
    assert files[-1].name == "20260105T120000Z-test-4.dump"
    assert folder.stat().st_mode & 0o077 == 0
    assert files[-1].stat().st_mode & 0o077 == 0


async def test_an_older_backup_is_replaced_by_a_whole_one_only(backups: Backups, tmp_path: Path) -> None:
    file = tmp_path / "kannon.dump"
    file.write_text("the last good one")
    with pytest.raises(OperatorError, match=r'kannon\.dump cannot be written: .*database "absent" does not exist'):
        await backups.write(file, database="absent")
    assert file.read_text() == "the last good one"
    await backups.write(file, database=TEMPLATE)
    await backups.check(file)
    assert [path.name for path in tmp_path.iterdir()] == ["kannon.dump"]


@needs_root
async def test_a_full_disk(backups: Backups, tmp_path: Path) -> None:
    with tmpfs(tmp_path, "size=16k"):
        with pytest.raises(OperatorError, match=r"kannon\.dump cannot be written: .*No space left on device"):
            await backups.write(tmp_path / "kannon.dump", database=TEMPLATE)
        assert list(tmp_path.iterdir()) == []
