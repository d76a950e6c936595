"""What a claim costs, however many tenants have mail waiting.

In: --rows in the pool, --page. Out: for 1, 100, 1,000 and 10,000 tenants the pages that a claim touches in PostgreSQL
and its time: the median of --claims, one after the other.
"""

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from kannon.db.migrate import migrate
from kannon.db.pool import Database, open_database
from kannon.db.queries import queries
from kannon.embedded import DataDir, EmbeddedPostgres
from tests.support.cipher import make_cipher
from tests.support.explain import explain
from tests.support.pool import fill_pool

TENANTS = (1, 100, 1_000, 10_000)
STATES = {"claim_to_validate": "to_validate", "claim_due": "scheduled"}


async def run(folder: Path, arguments: argparse.Namespace) -> None:
    with DataDir.open(folder) as data_dir:
        server = EmbeddedPostgres(data_dir.path)
        await server.start()
        try:
            await migrate(server.url)
            db = await open_database(server.url, pool_size=1, cipher=make_cipher())
            for name in STATES:
                for tenants in TENANTS:
                    await _measure(db, name, tenants, arguments)
            await db.close()
        finally:
            await server.stop()


async def _measure(db: Database, name: str, tenants: int, arguments: argparse.Namespace) -> None:
    async with db.acquire() as connection:
        await connection.execute("TRUNCATE sending_pool_emails")
    await fill_pool(db, tenants, arguments.rows, state=STATES[name])
    costs = []
    async with db.acquire() as connection:
        for _ in range(arguments.claims):
            async with connection.transaction():
                await queries.keep_to_indexes(connection)
                costs.append(await explain(connection, name, page=arguments.page, cursor="t5.test"))
    buffers = statistics.median(cost.buffers for cost in costs)
    milliseconds = statistics.median(cost.milliseconds for cost in costs)
    print(f"{name}, {tenants:,} tenants: {buffers:,.0f} pages, {milliseconds:.1f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--page", type=int, default=200)
    parser.add_argument("--claims", type=int, default=21)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kannon-bench-") as folder:
        asyncio.run(run(Path(folder), arguments))


if __name__ == "__main__":
    main()
