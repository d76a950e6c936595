"""What an idle server costs: memory of all its processes, and their share of a core.

`python -m tests.bench.bench_idle [--seconds 60] [--processes 1] [--json]`. An embedded server starts, settles, and does
nothing. Out: for each process its proportional set size (shared pages counted once) and its CPU over the time, and the
sums. CPU is that of the kernel's scheduler, in nanoseconds: the clock ticks of `ps` are too coarse for it.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from tests.bench.processes import tree
from tests.support.kannon_process import Kannon

SETTLE_SECONDS = 15.0


def pss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def command(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return " ".join(Path(word.decode()).name for word in words if word)[:60]


async def measure(seconds: float, processes: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        kannon = Kannon(Path(folder) / "data", {"KANNON_RUNNER__PROCESSES": str(processes)})
        try:
            await kannon.start().ready()
            assert kannon.process is not None
            await asyncio.sleep(SETTLE_SECONDS)
            before = {pid: cpu_seconds(pid) for pid in tree(kannon.process.pid)}
            began = time.monotonic()
            await asyncio.sleep(seconds)
            elapsed = time.monotonic() - began
            rows = [
                (command(pid), round(pss_mib(pid), 1), round((cpu_seconds(pid) - cpu) / elapsed * 100, 3))
                for pid, cpu in before.items()
                if Path(f"/proc/{pid}").exists()
            ]
        finally:
            kannon.kill()
    return {
        "processes": processes,
        "pss_mib": round(sum(row[1] for row in rows), 1),
        "percent_of_a_core": round(sum(row[2] for row in rows), 2),
        "of_each": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments.seconds, arguments.processes))
    if arguments.json:
        print(json.dumps(result))
        return
    for name, memory, share in result["of_each"]:  # type: ignore[attr-defined]
        print(f"{memory:>8.1f} MiB  {share:>6.3f} %  {name}")
    print(f"{result['pss_mib']:>8} MiB  {result['percent_of_a_core']:>6} %  in all")


if __name__ == "__main__":
    main()
