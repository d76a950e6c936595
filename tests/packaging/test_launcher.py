"""The launcher: its folders, its checks, its refusals; it becomes the program instead of starting a second process."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.machine import machine
from tests.support.mounts import needs_root, tmpfs
from tools.pack import TRAILER, pack_executable

LAUNCHER = Path("packaging/launcher.c")
PROGRAM = """#!/bin/sh
case $1 in
pid) echo $$ ;;
fail) exit 7 ;;
path) echo "$0" ;;
wait) echo started; read line ;;
*) cat "$(dirname "$0")/_internal/link" ;;
esac
"""


def build(folder: Path, text: str = "hello\n") -> Path:
    bundle = folder / "bundle"
    (bundle / "_internal" / "deep").mkdir(parents=True)
    (bundle / "kannon").write_text(PROGRAM)
    (bundle / "kannon").chmod(0o755)
    (bundle / "_internal" / "deep" / "text").write_text(text)
    (bundle / "_internal" / "link").symlink_to("deep/text")
    (bundle / "_internal" / "large").write_bytes(os.urandom(1 << 20) + bytes(1 << 20))
    (bundle / "_internal" / "empty").touch()
    pack_executable(bundle, launcher=LAUNCHER, build=folder, out=folder / "out" / "kannon")
    return folder / "out" / "kannon"


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    return build(tmp_path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "place"


def run(executable: Path, *arguments: str, **env: Path | str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [executable, *arguments], env={k: str(v) for k, v in env.items()}, capture_output=True, text=True
    )


def refused(executable: Path, **env: Path | str) -> str:
    """The one line of the refusal."""
    done = run(executable, **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kannon: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def unpacked(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.name != ".lock")


def test_the_launcher_unpacks_once_and_becomes_the_program(executable: Path, place: Path) -> None:
    assert run(executable, KANNON_RUNTIME_DIR=place).stdout == "hello\n"
    (folder,) = place.glob("kannon-*")
    first = folder.stat().st_ino
    with subprocess.Popen(
        [executable, "pid"], env={"KANNON_RUNTIME_DIR": str(place)}, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        assert int(started.stdout.readline()) == started.pid
    assert folder.stat().st_ino == first
    assert run(executable, "fail", KANNON_RUNTIME_DIR=place).returncode == 7
    assert folder.joinpath("_internal/large").stat().st_size == 2 << 20


def test_the_same_content_makes_the_same_file(executable: Path, tmp_path: Path) -> None:
    """Dates and the order of files in their folder do not matter."""
    shutil.copytree(tmp_path / "bundle", tmp_path / "again", symlinks=True)
    moved = tmp_path / "again" / "_internal" / "empty"
    moved.unlink()
    moved.touch()
    os.utime(moved, (0, 0))
    pack_executable(tmp_path / "again", launcher=LAUNCHER, build=tmp_path, out=tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == executable.read_bytes()


@pytest.mark.parametrize("damage", ["removed", "shortened", "everything"])
def test_a_missing_file_is_unpacked_again(executable: Path, place: Path, damage: str) -> None:
    run(executable, KANNON_RUNTIME_DIR=place)
    (folder,) = place.glob("kannon-*")
    for victim in folder.rglob("*") if damage == "everything" else [folder / "_internal" / "large"]:
        if victim.is_file() and not victim.is_symlink():
            victim.unlink() if damage == "removed" else os.truncate(victim, 0)
    assert run(executable, KANNON_RUNTIME_DIR=place).stdout == "hello\n"
    assert unpacked(place) == [folder.name]


def test_an_unfinished_folder_is_removed(executable: Path, place: Path) -> None:
    run(executable, KANNON_RUNTIME_DIR=place)
    (folder,) = place.glob("kannon-*")
    folder.rename(f"{folder}.new")
    (place / f"{folder.name}.new" / "half").touch()
    assert run(executable, KANNON_RUNTIME_DIR=place).stdout == "hello\n"
    assert unpacked(place) == [folder.name]
    assert not (folder / "half").exists()


def test_versions_that_do_not_run_are_removed(tmp_path: Path, executable: Path, place: Path) -> None:
    """A running version keeps its folder, and files of others stay whatever their name."""
    environment = {"KANNON_RUNTIME_DIR": str(place)}
    run(executable, **environment)
    (first,) = unpacked(place)
    (place / "kannon-notes").mkdir()
    (place / "precious").mkdir()
    (tmp_path / "second").mkdir()
    (tmp_path / "third").mkdir()
    second, third = build(tmp_path / "second", "two\n"), build(tmp_path / "third", "three\n")
    waiting = [str(executable), "wait"]
    with subprocess.Popen(waiting, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"started\n"
        assert run(second, **environment).stdout == "two\n"
        assert first in unpacked(place)
        running.communicate(b"\n")
    assert run(third, **environment).stdout == "three\n"
    assert first not in unpacked(place)
    assert len(unpacked(place)) == 3
    assert {"kannon-notes", "precious"} < set(unpacked(place))


def test_processes_that_start_together_unpack_once(executable: Path, place: Path) -> None:
    started = [
        subprocess.Popen([executable], env={"KANNON_RUNTIME_DIR": str(place)}, stdout=subprocess.PIPE) for _ in range(8)
    ]
    assert [process.communicate()[0] for process in started] == [b"hello\n"] * 8
    assert len(unpacked(place)) == 1


def test_an_incomplete_or_damaged_file_is_refused(executable: Path, place: Path) -> None:
    whole = executable.read_bytes()
    for size in (len(whole) - 1, len(whole) - TRAILER, len(whole) // 2):
        executable.write_bytes(whole[:size])
        assert "this executable is incomplete: copy or download it again" in refused(
            executable, KANNON_RUNTIME_DIR=place
        )
    for position in (len(whole) - TRAILER - 3, len(whole) - TRAILER - 9, len(whole) - (1 << 20)):
        executable.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert "this executable is damaged: copy or download it again" in refused(executable, KANNON_RUNTIME_DIR=place)
        assert unpacked(place) == []


@needs_root
def test_the_launcher_unpacks_into_the_first_usable_folder(executable: Path, tmp_path: Path) -> None:
    """Root uses /var/cache/kannon; users use their cache folder, or /var/tmp without a home."""
    with machine(tmp_path / "machine") as copy:
        copy.put(executable, "/usr/local/bin/kannon")
        copy.sh("useradd --create-home ann")
        path = ["/usr/local/bin/kannon", "path"]
        ann = ["setpriv", "--reuid=ann", "--regid=ann", "--clear-groups", *path]
        home = {"HOME": "/home/ann", "XDG_CACHE_HOME": "/home/ann/xdg"}
        assert copy.must(*path, env=home).startswith("/var/cache/kannon/kannon-")
        assert copy.must(*ann, env=home).startswith("/home/ann/xdg/kannon/kannon-")
        assert copy.must(*ann, env={"HOME": "/home/ann"}).startswith("/home/ann/.cache/kannon/kannon-")
        without = copy.must(*ann, env={"HOME": "/nowhere"})
        assert without.startswith("/var/tmp/kannon-")
        copy.sh("chown root /var/tmp/kannon-* && chmod 0755 /var/tmp/kannon-*")
        assert "another user" in copy.run(*ann, env={"HOME": "/nowhere"}).err


@needs_root
def test_untrusted_and_unusable_folders_are_refused(executable: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    assert "belongs to another user, or other users can write to it" in refused(executable, KANNON_RUNTIME_DIR=place)
    place.chmod(0o700)
    os.chown(place, 65534, 65534)
    assert "belongs to another user, or other users can write to it" in refused(executable, KANNON_RUNTIME_DIR=place)
    os.chown(place, 0, 0)
    (tmp_path / "link").symlink_to(place)
    assert f"{tmp_path}/link: " in refused(executable, KANNON_RUNTIME_DIR=tmp_path / "link")
    assert "is no absolute path" in refused(executable, KANNON_RUNTIME_DIR="relative")
    assert "/proc/kannon" in refused(executable, KANNON_RUNTIME_DIR="/proc/kannon")
    with tmpfs(place, "noexec"):
        place.chmod(0o700)
        assert "is mounted noexec" in refused(executable, KANNON_RUNTIME_DIR=place)
    with tmpfs(place, "size=1m"):
        place.chmod(0o700)
        assert "No space left on device" in refused(executable, KANNON_RUNTIME_DIR=place)
        assert unpacked(place) == []
