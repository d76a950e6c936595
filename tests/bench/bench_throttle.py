"""The delay that one slow destination causes to the same tenant's other mail.

In: --mails for a destination that takes 20 a second. Out: seconds until a single mail to another destination has been
delivered and settled, for mails sent one after the other once the slow ones have been validated; and how many a second
the slow destination took meanwhile.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import asyncpg

from tests.bench.run import Sink
from tests.bench.workloads import DOMAIN, request
from tests.support.kannon_process import Client, Kannon

SINGLES = 20
APART_SECONDS = 2.0
WAITING = "SELECT count(*) FROM sending_pool_emails WHERE email LIKE $1"


async def run(folder: Path, mails: int) -> None:
    sink = Sink(folder)
    slow, fast = ({"host": host, "port": sink.port, "tls": "none"} for host in ("localhost", "127.0.0.1"))
    routes = [{"domain": "slow.example", **slow}, {"domain": "*", **fast}]
    limits = [{"mx": "localhost", "rate_per_second": 20}]
    environ = {"ROUTES": json.dumps(routes), "LIMITS": json.dumps(limits)}
    kannon = Kannon(
        folder / "data", {f"KANNON_SENDER__{k}": v for k, v in environ.items()} | {"KANNON_LOG__LEVEL": "warning"}
    )
    try:
        await kannon.start().ready()
        client = kannon.client()
        await client.add_domain(DOMAIN)
        database = await asyncpg.connect(kannon.postgres_url())
        send = request(mails)
        for number, recipient in enumerate(send.recipients):
            recipient.email = f"reader{number}@slow.example"
        await client.send(send)
        while await database.fetchval("SELECT count(*) FROM sending_pool_emails WHERE state = 'to_validate'"):
            await asyncio.sleep(0.1)
        before, began = await database.fetchval(WAITING, "%@slow.example"), time.monotonic()
        times = [await _single(client, database, number) for number in range(SINGLES)]
        rate = (before - await database.fetchval(WAITING, "%@slow.example")) / (time.monotonic() - began)
        await database.close()
        client.close()
    finally:
        kannon.kill()
        sink.stop()
    print(" ".join(f"{seconds:.2f}" for seconds in times), f"longest {max(times):.2f} s; slow: {rate:.1f} mails/s")


async def _single(client: Client, database: "asyncpg.Connection[asyncpg.Record]", number: int) -> float:
    await asyncio.sleep(APART_SECONDS)
    send = request(1)
    send.recipients[0].email = f"single{number}@fast.example"
    began = time.monotonic()
    await client.send(send)
    while await database.fetchval(WAITING, send.recipients[0].email):
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=30_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        asyncio.run(run(Path(folder), arguments.mails))


if __name__ == "__main__":
    main()
