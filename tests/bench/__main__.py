"""`make bench`: N mails end to end, from the API to settled outcomes and stored statistics, into Postfix's smtp-sink.

In: flags. Out: mails per second for the whole and each stage, accept-to-delivery times, CPU per mail and peak memory of
each program, and the same run's `openssl speed rsa2048` for comparison; with --json one line of JSON. Exit code 1
when a mail is lost: accepted = delivered = the sink's own count, the pool empty, the counters equal.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.bench.report import show
from tests.bench.run import Settings, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1, help="dispatcher.workers")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--profile", default="", help="py-spy record the server into this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        settings = Settings(Path(folder), arguments.mails, arguments.workers, arguments.profile)
        result = asyncio.run(run(settings))
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
    sys.exit(0 if not result["lost"] else 1)


if __name__ == "__main__":
    main()
