"""CPU time and memory of a process tree, read from /proc, by program: kannon, its build workers, PostgreSQL, NATS."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """`cpu` in seconds, ended children included; `peak` resident memory in bytes, of PostgreSQL without its buffers;
    `written` bytes to disk, ended children not included."""

    cpu: float = 0.0
    peak: int = 0
    written: int = 0


@dataclass(frozen=True)
class Machine:
    """CPU seconds of all cores since the boot: used by anything, and idle."""

    used: float
    idle: float


def machine() -> Machine:
    # proc(5), stat: user nice system idle iowait irq softirq steal; the rest is part of user and nice.
    fields = [int(each) / TICKS for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return Machine(sum(fields) - idle, idle)


def usage(root: int) -> dict[str, Usage]:
    found: dict[str, Usage] = {}
    for pid in tree(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        name = _program(pid)
        # utime, stime and those of waited-for children: fields 14 to 17 of proc(5), 11 to 14 after the name.
        cpu = sum(map(int, fields[11:13] if name == "kannon" else fields[11:15])) / TICKS
        before = found.get(name, Usage())
        peak = before.peak + _peak(status, private=name == "postgres")
        found[name] = Usage(before.cpu + cpu, peak, before.written + _written(pid))
    return found


def _written(pid: int) -> int:
    """0 where this user may not read it."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), 0)


def _peak(status: str, *, private: bool) -> int:
    values = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.endswith(" kB")}
    # PostgreSQL's processes share their buffers: only the private memory of each is summed.
    kilobytes = values.get("RssAnon", 0) if private else values.get("VmHWM", 0)
    return kilobytes * 1024


def _program(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "other"
    # A further process of the server is a kannon serve too.
    words = ((b"postgres", "postgres"), (b"nats-server", "nats"), (b"spawn_main", "workers"), (b"serve", "kannon"))
    return next((name for word, name in words if word in command), "other")


def tree(root: int) -> Iterator[int]:
    yield root
    for task in Path(f"/proc/{root}/task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from tree(int(child))
