"""Stops a server that an earlier run left running, so that this run can use its data.

In: the pid it wrote, and the argument list that only Kannon's own server has. Out: that server has ended.
A process with other arguments is left alone: pids are reused, mostly in containers.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import anyio

from kannon.embedded.child import wait_gone
from kannon.errors import Unavailable


def read_pid(file: Path) -> int | None:
    """The pid in the first line of `file`; None if there is none."""
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def is_running(pid: int, argv: Sequence[str]) -> bool:
    """Whether `pid` is a server started with these arguments; its path may differ, after an upgrade."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    words = os.fsdecode(raw).rstrip("\0").split("\0")
    return Path(words[0]).name == Path(argv[0]).name and words[1:] == list(argv[1:])


async def stop_stale(pid: int, argv: Sequence[str], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Sends the signals of `steps`, then SIGKILL. Raises Unavailable where the process still runs."""
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        if not is_running(pid, argv):
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        with anyio.move_on_after(seconds):
            await wait_gone(pid, lambda: not is_running(pid, argv))
    if is_running(pid, argv):
        raise Unavailable(f"{Path(argv[0]).name} of an earlier run (pid {pid}) does not end after SIGKILL")
