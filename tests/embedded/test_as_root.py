"""Started as root: the children are unprivileged, and reach data and programs that only root can enter."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kannon.embedded.run_as import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, RunAs, choose_run_as, give_to
from tests.embedded.conftest import Servers, as_nobody, own
from tests.support.processes import program, status_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="these rules hold for root only")

CAP_SETUID = 7


@contextmanager
def as_root(data_dir: Path, tmp_path: Path, without: tuple[int, ...] = ()) -> Iterator[Servers]:
    arguments = ("tests.support.embedded_program", str(data_dir))
    with program(*arguments, stderr=tmp_path / "stderr", without=without) as started:
        yield Servers(started)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A data directory below one that only root enters, outside pytest's own."""
    parent = Path(tempfile.mkdtemp(prefix="kannon-closed-", dir="/root"))
    yield parent / "data"
    shutil.rmtree(parent)


def capabilities(servers: Servers) -> list[set[int]]:
    masks = [int(status_of(servers.pid_of(name))["CapEff"], 16) for name in ("postgres", "nats-server")]
    return [{number for number in range(64) if mask >> number & 1} for mask in masks]


async def test_data_that_only_root_can_enter(closed: Path, tmp_path: Path) -> None:
    with as_root(closed, tmp_path) as servers:
        await servers.ready()
        assert capabilities(servers) == [{CAP_DAC_READ_SEARCH}] * 2
        assert status_of(servers.pid_of("postgres"))["Groups"] == ""


async def test_in_a_container_the_other_capability_does(closed: Path, tmp_path: Path) -> None:
    with as_root(closed, tmp_path, without=(CAP_DAC_READ_SEARCH,)) as servers:
        await servers.ready()
        assert capabilities(servers) == [{CAP_DAC_OVERRIDE}] * 2


@pytest.mark.parametrize(
    ("without", "problem"),
    [
        ((CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE), "cannot be reached by the user"),
        ((CAP_SETUID,), "root here may not change its user"),
    ],
)
async def test_a_root_without_capabilities_is_refused(
    closed: Path, tmp_path: Path, without: tuple[int, ...], problem: str
) -> None:
    with as_root(closed, tmp_path, without=without) as servers:
        assert await servers.program.ended() == 1
        assert problem in servers.program.stderr.splitlines()[-1]
        assert "Traceback" not in servers.program.stderr


async def test_a_backup_that_root_restored(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with as_root(data_dir, tmp_path) as servers:
        await servers.ready()
        await servers.program.stop()
    for name in ("postgres", "nats"):
        for path in (data_dir / name, *(data_dir / name).rglob("*")):
            os.chown(path, 0, 0)
    with as_root(data_dir, tmp_path) as servers:
        await servers.ready()


async def test_data_of_an_ordinary_user_keeps_its_owner(tmp_path: Path) -> None:
    nobody = as_nobody()
    data_dir = own(tmp_path / "data", nobody)
    arguments = ("tests.support.embedded_program", str(data_dir))
    with program(*arguments, stderr=tmp_path / "stderr", account=nobody) as started:
        await Servers(started).ready()
        await started.stop()
    with as_root(data_dir, tmp_path) as servers:
        await servers.ready()
        assert status_of(servers.pid_of("postgres"))["Uid"].split()[0] == str(nobody.uid)
        await servers.program.stop()
    with program(*arguments, stderr=tmp_path / "stderr", account=nobody) as started:
        await Servers(started).ready()


async def test_an_account_takes_over_data_that_root_began(tmp_path: Path) -> None:
    nobody = as_nobody()
    data_dir = own(tmp_path / "data", nobody)
    with as_root(data_dir, tmp_path) as servers:
        await servers.ready()
        await servers.program.stop()
    arguments = ("tests.support.embedded_program", str(data_dir))
    with program(*arguments, stderr=tmp_path / "stderr", account=nobody) as started:
        await Servers(started).ready()


async def test_a_user_id_without_a_name_is_refused(tmp_path: Path) -> None:
    """initdb wants a name; containers often have none."""
    nameless = RunAs(54321, 54321, CAP_DAC_READ_SEARCH)
    data_dir = own(tmp_path / "data", nameless)
    with program(
        "tests.support.embedded_program", str(data_dir), stderr=tmp_path / "stderr", account=nameless
    ) as started:
        assert await started.ended() == 1
        assert "could not look up effective user ID 54321" in started.stderr.splitlines()[-1]


def test_no_capability_where_none_is_needed() -> None:
    with tempfile.TemporaryDirectory() as parent:
        home = Path(parent) / "postgres"
        Path(parent).chmod(0o711)
        account = choose_run_as(home, (home,))
        assert account is not None
        assert account.uid != 0
        assert account.capability is None
        Path(parent).chmod(0o700)
        closed = choose_run_as(home, (home,))
        assert closed == RunAs(account.uid, account.gid, CAP_DAC_READ_SEARCH)


def test_links_in_data_that_changes_its_owner_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("root's")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to(outside)
    (tmp_path / "home" / "folder").symlink_to(tmp_path)
    give_to(RunAs(65534, 65534), tmp_path / "home")
    assert outside.stat().st_uid == 0
    assert tmp_path.stat().st_uid == 0
    assert (tmp_path / "home").stat().st_uid == 65534
