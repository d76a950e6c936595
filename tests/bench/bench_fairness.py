"""The time of another tenant's single mail during a large batch: the promise is 2 s.

In: --mails, the size of the batch. Out: seconds from call to the 250, for single mails sent one after the other
meanwhile. Exit code 1 when the promise is broken.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.run import Sink
from tests.bench.workloads import DOMAIN, request
from tests.support.kannon_process import Client, Kannon

OTHER = "other.example"
PROMISE_SECONDS = 2.0
SINGLES = 10


async def run(folder: Path, mails: int) -> list[float]:
    sink = Sink(folder)
    routes = [{"domain": "*", "host": "127.0.0.1", "port": sink.port, "tls": "none"}]
    kannon = Kannon(folder / "data", {"KANNON_SENDER__ROUTES": json.dumps(routes), "KANNON_LOG__LEVEL": "warning"})
    try:
        await kannon.start().ready()
        client = kannon.client()
        await client.add_domain(DOMAIN)
        await client.add_domain(OTHER)
        await client.send(request(mails))
        times = [await _single(client, number) for number in range(SINGLES)]
        client.close()
        return times
    finally:
        kannon.kill()
        sink.stop()


async def _single(client: Client, number: int) -> float:
    send = request(1)
    send.sender.email = f"news@{OTHER}"
    send.recipients[0].email = f"single{number}@inbox.example"
    began = time.time()
    await client.send(send)
    while True:
        for event in await client.events(OTHER):
            if event.email == send.recipients[0].email and event.type == "delivered":
                return event.timestamp.ToNanoseconds() / 1e9 - began
        await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        times = asyncio.run(run(Path(folder), arguments.mails))
    print(" ".join(f"{seconds:.2f}" for seconds in times), f"longest {max(times):.2f} s")
    sys.exit(0 if max(times) <= PROMISE_SECONDS else 1)


if __name__ == "__main__":
    main()
