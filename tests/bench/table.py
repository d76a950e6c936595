"""The table of docs/performance.md: every workload of one machine on one day, medians of several runs.

`python -m tests.bench.table [--runs 3] [--postfix] [--growth]`. Out: lines of a Markdown table on standard output, and
each run's own result on standard error as it comes. About ten minutes on two quiet cores; --postfix adds the
comparison with Postfix and OpenDKIM (root), --growth the large tables (an hour the first time).
"""

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

from tests.bench.workloads import WORKLOADS

TITLES = {
    "batch": "one batch of 10,000",
    "singles": "single sends, 50 callers",
    "tenants": "500 tenants × 20",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--postfix", action="store_true")
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    processes = ["--processes", str(arguments.processes)]
    print("| workload | mails a second | … of openssl | CPU a mail, ms: kannon, workers, PostgreSQL, NATS; in all |")
    print("|---|---|---|---|")
    batch: list[dict[str, Any]] = []
    for name in WORKLOADS:
        runs = [bench("tests.bench", "--workload", name, "--json", *processes) for _ in range(arguments.runs)]
        batch = batch or runs
        show(TITLES.get(name, name), runs)
    print()
    print("| one caller, one mail after another, idle | median ms |")
    print("|---|---|")
    for title, key in (
        ("the call", "single_call_ms_p50"),
        ("from accepted to the MX's 250", "single_accept_to_250_ms_p50"),
        ("from the call to the 250", "single_mail_ms_p50"),
    ):
        print(f"| {title} | {median(batch, key):.1f} |")
    idle = [bench("tests.bench.bench_idle", "--json", *processes) for _ in range(arguments.runs)]
    print(f"\nIdle: {median(idle, 'pss_mib'):.0f} MiB (PSS), {median(idle, 'percent_of_a_core'):.2f} % of a core.")
    print(f"openssl speed rsa2048: {median(batch, 'openssl_rsa2048_per_second'):,.0f} signatures a second.")
    print(f"Load average: {min(r['load_average'] for r in batch)} to {max(r['load_average'] for r in batch)}.")
    sys.stdout.flush()
    others = ["tests.bench.bench_sender", "tests.bench.bench_isolation", "tests.bench.bench_throttle"]
    others += ["tests.bench.bench_postfix"] if arguments.postfix else []
    others += ["tests.bench.bench_growth"] if arguments.growth else []
    for module in others:
        print(f"\n{module}:", flush=True)
        subprocess.run([sys.executable, "-m", module], check=True)


def bench(module: str, *arguments: str) -> dict[str, Any]:
    """Ends this program where the bench fails, as when a mail is lost."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))
    print(line, file=sys.stderr, flush=True)
    result: dict[str, Any] = json.loads(line)
    return result


def median(runs: list[dict[str, Any]], key: str) -> float:
    return statistics.median(float(run[key]) for run in runs)


def show(title: str, runs: list[dict[str, Any]]) -> None:
    cpu = [
        statistics.median(run["cpu_ms_per_mail"].get(part, 0.0) for run in runs)
        for part in ("kannon", "workers", "postgres", "nats")
    ]
    parts = ", ".join(f"{each:.2f}" for each in cpu)
    print(
        f"| {title} | {median(runs, 'mails_per_second'):,.0f} | {median(runs, 'ratio_to_openssl'):.2f}"
        f" | {parts}; {median(runs, 'cpu_ms_per_mail_in_all'):.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
