"""Programs that a test starts under a chosen account, and the processes below them.

In: a module to run. Out: its lines, its exit code, its descendants. The end of the `with` block kills the program and
checks that its children end too.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from kannon.embedded.child import prepare, wait_gone
from kannon.embedded.run_as import RunAs
from tests.support.patience import PATIENCE_SECONDS, patience

PROJECT = Path(__file__).parents[2]
_PR_CAPBSET_DROP = 24
_libc = ctypes.CDLL(None)


@dataclass
class Program:
    process: subprocess.Popen[bytes]
    stderr_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.stderr_file.read_text()

    async def line(self) -> str:
        """The next line it prints; AssertionError with its standard error if the program ends instead."""
        assert self.process.stdout is not None
        with patience():
            await anyio.wait_readable(self.process.stdout)
        line = self.process.stdout.readline().decode()
        assert line, self.stderr
        return line

    async def ended(self) -> int:
        """Its exit code."""
        with patience():
            await wait_gone(self.pid, lambda: self.process.poll() is not None)
        return self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.ended()


@contextmanager
def process(argv: Sequence[str], account: RunAs) -> Iterator[subprocess.Popen[bytes]]:
    """Any process, without output, killed at the end of the block."""
    become = prepare(account if os.geteuid() == 0 else None, signal.SIGKILL)
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=become) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def program(
    module: str, *arguments: str, stderr: Path, account: RunAs | None = None, without: Sequence[int] = ()
) -> Iterator[Program]:
    """Runs `python -m module` as `account`; `without` names capabilities that even root then lacks."""
    become = prepare(account, signal.SIGKILL)

    def in_child() -> None:
        for capability in without:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        become()

    argv = [sys.executable, "-B", "-m", module, *arguments]
    with stderr.open("wb") as errors:
        started = subprocess.Popen(
            argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=errors, preexec_fn=in_child, bufsize=0
        )
    with started:
        try:
            yield Program(started, stderr)
        finally:
            below = descendants(started.pid)
            started.kill()
            for pid in below:
                _wait_gone(pid)


async def until(condition: Callable[[], bool]) -> None:
    """Polls a condition that sends no notification."""
    with patience():
        while not condition():
            await anyio.sleep(0.005)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, deepest last."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (parent := _parent(int(entry.name))) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = list[int](), [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


async def all_gone(pids: Sequence[int]) -> None:
    """Returns when all of them have ended."""
    with patience():
        for pid in pids:
            await wait_gone(pid, lambda pid=pid: _parent(pid) is None)  # type: ignore[misc]  # a default binds it


def command_line(pid: int) -> list[str]:
    return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).rstrip("\0").split("\0")


def status_of(pid: int) -> dict[str, str]:
    """The fields of /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def account_of(pid: int) -> RunAs:
    """The account of the process, with the one capability that it may have kept."""
    fields = status_of(pid)
    mask = int(fields["CapEff"], 16)
    return RunAs(int(fields["Uid"].split()[0]), int(fields["Gid"].split()[0]), mask.bit_length() - 1 if mask else None)


def _wait_gone(pid: int) -> None:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([watch], [], [], PATIENCE_SECONDS)
        assert ended, f"{command_line(pid)} (pid {pid}) outlives its program"
    finally:
        os.close(watch)


def _parent(pid: int) -> int | None:
    """None for a process that has ended, also if it is a zombie."""
    try:
        fields = status_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields["State"].startswith("Z") else int(fields["PPid"])
