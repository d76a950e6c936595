"""`make bench`: mails end to end, from the API to settled outcomes and stored statistics, into Postfix's smtp-sink.

    make bench [ARGS="--workload batch|singles|tenants|all --mails N --workers N --processes N --json"]

In: flags. The workload: one batch of 10,000 mails; 4,000 of these mails as calls of one recipient by 50 callers; 500
tenants with 20 mails each; or all three, each on a server of its own. Out: mails per second for the whole and each
stage, accept-to-delivery times, CPU per mail and peak memory of each program, and the same run's `openssl speed
rsa2048` for comparison; with --json a line of JSON for each workload. Exit code 1 when a mail is lost: sent = delivered
= the sink's own count, and the pool is empty.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.report import show
from tests.bench.run import Settings, run
from tests.bench.workloads import WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--workload", choices=[*WORKLOADS, "all"], default="batch")
    parser.add_argument("--mails", type=int, help="of each workload")
    parser.add_argument("--workers", type=int, default=1, help="dispatcher.workers")
    parser.add_argument("--processes", type=int, default=1, help="runner.processes")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each workload")
    parser.add_argument("--profile", default="", help="py-spy record the server into this file")
    arguments = parser.parse_args()
    results = [
        measure(name, arguments) for name in (WORKLOADS if arguments.workload == "all" else [arguments.workload])
    ]
    if arguments.json:
        for result in results:
            print(json.dumps(result))
    else:
        show(results)
    sys.exit(1 if any(result["lost"] for result in results) else 0)


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    mails = arguments.mails or WORKLOADS[name][1]
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        settings = Settings(
            Path(folder), mails, arguments.workers, arguments.profile, name, processes=arguments.processes
        )
        return asyncio.run(run(settings))


if __name__ == "__main__":
    main()
