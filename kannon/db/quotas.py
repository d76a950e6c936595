"""The stored usage of quotas: read, changed by a function, and written, in one transaction.

In: quotas, and the rule of kannon.mail.quota that changes each usage. Out: what the rule returns. PostgreSQL's clock
counts, so the processes need not agree on the time.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from kannon.db.conflicts import repeat_on_conflict
from kannon.db.pool import Database
from kannon.db.queries import queries
from kannon.mail.quota import Quota, Usage

Result = TypeVar("Result")


@repeat_on_conflict
async def change_usage(
    db: Database, quotas: Mapping[str, Quota], change: Callable[[Quota, Usage, datetime], tuple[Result, Usage]]
) -> dict[str, Result]:
    """`quotas` by their subjects. `change` may be called again for a repeat."""
    results: dict[str, Result] = {}
    after: dict[str, Usage] = {}
    async with db.transaction() as connection:
        subjects = sorted(quotas)
        rows = [row async for row in queries.lock_quotas(connection, subjects=subjects)]
        if len(rows) < len(subjects):
            await queries.insert_quotas(connection, subjects=subjects)
            rows = [row async for row in queries.lock_quotas(connection, subjects=subjects)]
        for row in rows:
            usage = Usage(row["day"], row["used"], row["busy_until"])
            subject = row["subject"]
            results[subject], after[subject] = change(quotas[subject], usage, row["now"])
        await queries.store_quotas(
            connection,
            subjects=list(after),
            days=[usage.day for usage in after.values()],
            used=[usage.used for usage in after.values()],
            busy_until=[usage.busy_until for usage in after.values()],
        )
    return results
