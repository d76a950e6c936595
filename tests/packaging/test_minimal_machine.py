"""dist/kannon on a machine with glibc and a shell only: no Python, OpenSSL, zlib, locales, time zones, accounts."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kannon_process import Kannon
from tests.support.machine import Machine
from tests.support.minimal_machine import C_LIBRARY, loaders, minimal_machine
from tests.support.mounts import needs_root

KANNON = "/bin/kannon"


@pytest.fixture
def bare(tmp_path: Path, executable: Path) -> Iterator[Machine]:
    with minimal_machine(tmp_path / "bare") as machine:
        target = machine.root / KANNON.removeprefix("/")
        target.write_bytes(executable.read_bytes())
        target.chmod(0o755)
        yield machine


@needs_root
def test_kannon_starts(bare: Machine) -> None:
    assert bare.must(KANNON, "version").startswith("kannon ")
    assert "[postgres]" in bare.must(KANNON, "check")
    assert list((bare.root / "tmp").iterdir()) == []


@needs_root
def test_a_missing_requirement_is_named_in_one_line(bare: Machine) -> None:
    """The requirements: a folder to unpack into, a shell for PostgreSQL, and the C library."""
    (bare.root / "var/tmp").rename(bare.root / "var/gone")
    nowhere = bare.run(KANNON, "version")
    assert (nowhere.code, nowhere.err.count("\n")) == (1, 1)
    assert "set KANNON_RUNTIME_DIR to another folder" in nowhere.err
    env = {"KANNON_RUNTIME_DIR": "/data/program", "KANNON_DATA_DIR": "/data/kannon"}
    assert bare.must(KANNON, "version", env=env).startswith("kannon ")
    (bare.root / "bin/sh").unlink()
    env |= {f"KANNON_{name}__LISTEN": "127.0.0.1:0" for name in ("API", "BUMP", "SMTP", "SUBMISSION", "METRICS")}
    refused = bare.run(KANNON, "serve", env=env)
    assert refused.code == 1
    assert [line for line in refused.err.splitlines() if line.startswith("kannon: ")] == [
        "kannon: /data/kannon/postgres cannot be made: PostgreSQL's initdb needs a shell, and there is no /bin/sh"
    ]
    for loader in loaders():
        (bare.root / loader.relative_to("/")).unlink()
    other = bare.run(KANNON, "version", env=env)
    assert (other.code, other.err) == (
        1,
        "kannon: this system has no glibc, which Kannon needs: use the container image\n",
    )


@needs_root
async def test_kannon_serves(bare: Machine) -> None:
    kannon = Kannon(
        bare.root / "data",
        {"KANNON_DATA_DIR": "/data", "KANNON_SENDER__MODE": "sandbox"},
        program=bare.command(KANNON),
        unset=[name for name in os.environ if name != "PATH"],
    )
    try:
        await kannon.start().ready()
        env = {"KANNON_DATA_DIR": "/data", "KANNON_API__LISTEN": f"127.0.0.1:{kannon.ports['api']}"}
        assert bare.must(KANNON, "health", env=env) == "ok\n"
        bare.must(KANNON, "domains", "add", "example.com", env=env)
        key = bare.must(KANNON, "keys", "create", "example.com", "--name", "app", env=env).split()[-1]
        (bare.root / "hello.html").write_text('<p>Hello {{ name }}, <a href="https://example.com/">read on</a></p>')
        (bare.root / "recipients.csv").write_text("email,name\nreader@example.org,Zoë\n")
        mail = ("--from", "News <news@example.com>", "--subject", "Grüße, {{ name }}", "--html", "/hello.html")
        bare.must(KANNON, "send", *mail, "--recipients", "/recipients.csv", "--key", key, env=env)
        client = kannon.client()
        assert await client.outcomes("example.com", 1) == {"reader@example.org": "delivered"}
        assert len(list((kannon.data_dir / "sandbox").rglob("new/*"))) == 1
        bare.must(KANNON, "backup", "/tmp/backup", env=env)
        assert await kannon.stop() == 0
    finally:
        kannon.kill()
    assert [file.name for file in (bare.root / "tmp").iterdir()] == ["backup"]


def test_the_executable_contains_every_library(executable: Path, tmp_path: Path) -> None:
    """Every library that its programs and libraries need is in it or belongs to the C library."""
    bundle = executable.parent.parent / "build" / "bundle" / "kannon"
    with tarfile.open(bundle / "_internal" / "servers" / "servers.tar.gz") as servers:
        servers.extractall(tmp_path, filter="data")
    theirs = {*C_LIBRARY, *(loader.name for loader in loaders())}
    for folder in (bundle, tmp_path):
        inside = {file.name for file in folder.rglob("*")}
        for file in folder.rglob("*"):
            if file.is_file() and file.read_bytes().startswith(b"\x7fELF"):
                assert needed(file) <= inside | theirs, file
    assert needed(executable) == set()


def needed(file: Path) -> set[str]:
    said = subprocess.run(["readelf", "--dynamic", "--wide", file], capture_output=True, text=True, check=True).stdout
    return {line.split("[")[1].rstrip("]") for line in said.splitlines() if "(NEEDED)" in line}
