"""What the operator must mend: one line each, exit code 1, nothing touched."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kannon.embedded import DataDir
from kannon.embedded.data_dir import LAYOUT
from kannon.embedded.executables import installed_postgres_bin
from kannon.embedded.run_as import RunAs
from kannon.embedded.upgrade import is_ready
from tests.embedded.conftest import Start, as_nobody
from tests.support.processes import process, until

Damage = Callable[[Path], object]


async def refusal(start: Start, data_dir: Path) -> str:
    """The one line with which the program ends."""
    with start(data_dir) as servers:
        assert await servers.program.ended() == 1, servers.program.stderr
        (line,) = [line for line in servers.program.stderr.splitlines() if "[info]" not in line]
    assert line.startswith("kannon: ")
    assert "Traceback" not in servers.program.stderr
    return line


async def test_a_second_program_on_the_same_data(start: Start, made_dir: Path) -> None:
    with start(made_dir) as servers:
        await servers.ready()
        assert await refusal(start, made_dir) == f"kannon: data_dir {made_dir} is in use by another kannon serve"
        assert await servers.program.stop() == 0


async def test_a_place_that_cannot_be_written(start: Start, data_dir: Path) -> None:
    (data_dir / "file").touch()
    for place in (data_dir / "file", data_dir / "file" / "below", Path("/proc/kannon")):
        assert (await refusal(start, place)).startswith(f"kannon: data_dir {place} cannot be used: ")


async def test_data_of_a_newer_kannon(start: Start, data_dir: Path) -> None:
    (data_dir / "VERSION").write_text(f"{LAYOUT + 1}\n")
    assert "was made by a newer Kannon" in await refusal(start, data_dir)
    assert not (data_dir / "postgres").exists()


@pytest.mark.parametrize("text", ["", "nonsense", "-1", "٣"])
async def test_an_unreadable_version_is_refused(start: Start, data_dir: Path, text: str) -> None:
    (data_dir / "VERSION").write_text(text)
    assert "is not Kannon's" in await refusal(start, data_dir)


async def test_data_of_an_older_postgresql_whose_programs_are_gone(start: Start, made_dir: Path) -> None:
    (made_dir / "postgres" / "PG_VERSION").write_text("17\n")
    line = await refusal(start, made_dir)
    assert "holds data of PostgreSQL 17, this Kannon contains PostgreSQL 18" in line
    for word in ("kannon backup FILE", "kannon restore FILE", f"{made_dir}/runtime"):
        assert word in line


async def test_data_of_a_newer_postgresql(start: Start, made_dir: Path) -> None:
    (made_dir / "postgres" / "PG_VERSION").write_text("99\n")
    line = await refusal(start, made_dir)
    assert line.endswith("holds data of PostgreSQL 99, this Kannon contains PostgreSQL 18: install a newer Kannon")


async def test_data_that_another_program_made(start: Start, made_dir: Path) -> None:
    """PostgreSQL's, whole and of our version, but Kannon was never started on it."""
    (made_dir / "conf" / "postgresql.conf").unlink()
    before = tree(made_dir / "postgres")
    assert "holds PostgreSQL data that is not Kannon's" in await refusal(start, made_dir)
    assert tree(made_dir / "postgres") == before


async def test_data_that_another_server_uses(start: Start, made_dir: Path, account: RunAs | None) -> None:
    """A server started by hand: it is neither stopped nor robbed of its data."""
    programs = installed_postgres_bin()
    sockets = ["-c", "listen_addresses=", "-c", "unix_socket_directories=."]
    argv = [str(programs / "postgres"), "-D", str(made_dir / "postgres"), *sockets]
    with process(argv, account or as_nobody()) as other:
        await until(lambda: is_ready(made_dir / "postgres", other.pid))
        assert f"is in use by a PostgreSQL that is not Kannon's (pid {other.pid})" in await refusal(start, made_dir)
        assert other.poll() is None
        assert is_ready(made_dir / "postgres", other.pid)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_directory_that_is_no_cluster_is_refused(start: Start, data_dir: Path) -> None:
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "precious").write_text("x")
    assert "holds no PostgreSQL data" in await refusal(start, data_dir)
    assert (data_dir / "postgres" / "precious").read_text() == "x"


async def test_a_setting_that_postgresql_refuses_is_named_and_tried_again(start: Start, made_dir: Path) -> None:
    local = made_dir / "conf" / "local.conf"
    local.write_text("no_such_setting = 1\n")
    with start(made_dir) as servers:
        await until(lambda: "PostgreSQL does not start" in servers.program.stderr)
        assert 'local.conf" contains errors' in servers.program.stderr
        local.unlink()
        await servers.ready()


def test_a_shared_directory_needs_no_lock(tmp_path: Path) -> None:
    """With servers of the operator's own, several processes may share one data_dir."""
    with DataDir.open(tmp_path / "data", exclusive=False), DataDir.open(tmp_path / "data", exclusive=False):
        pass
