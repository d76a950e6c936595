"""How busy processes are: their use of a core, read from /proc.

In: process ids, at regular times. Out: the mean share, 0 to 1. Of a process and its build workers, the busiest counts,
because either one can be what the mail waits for.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WORKER: Final = b"--multiprocessing-fork"


class Load:
    """`now` in seconds."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._at = 0.0

    def measure(self, pids: Sequence[int], now: float) -> float:
        """The mean since the last call; a process that was not there then counts as idle."""
        groups = {pid: [pid, *_workers(pid)] for pid in pids}
        used = {pid: cpu for group in groups.values() for pid in group if (cpu := _cpu_seconds(pid)) is not None}
        shares = [max(self._share(pid, used, now) for pid in group) for group in groups.values()]
        self._last, self._at = used, now
        return sum(shares) / max(1, len(shares))

    def _share(self, pid: int, used: Mapping[int, float], now: float) -> float:
        if pid not in self._last or pid not in used or now <= self._at:
            return 0.0
        return (used[pid] - self._last[pid]) / (now - self._at)


def _workers(pid: int) -> list[int]:
    """The children of a process that multiprocessing has started."""
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # gone, or a kernel without this file
        return []
    return [child for child in children if _WORKER in _command(child)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _cpu_seconds(pid: int) -> float | None:
    """proc(5): utime and stime, fields 14 and 15 of stat. None: it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS
