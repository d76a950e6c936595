"""The accounts at the end of a campaign: pool, statistics and counters against the ledger.

In: the database, the ledger. Out: what does not agree, one line each; none when accepted = delivered + bounced + failed
for every mail, delivered means a 250 at the far end, and the counters count the events.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import asyncpg

from tests.torture.ledger import Ledger, Span

FINAL = ("delivered", "bounced", "failed")
SETTLE_SECONDS = 200.0
"""The hostile destination's mail has retries of some seconds; the statistics follow within seconds."""


async def audit(url: str, ledger: Ledger, events_lost: Sequence[Span] = ()) -> list[str]:
    """`events_lost`: NATS lost its store then, and with it events of that time."""
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url)
    try:
        await _until_still(connection, ledger)
        left = await connection.fetchval("SELECT count(*) FROM sending_pool_emails")
        rows = await connection.fetch("SELECT email, type FROM stats")
        counters = {row[0]: int(row[1]) for row in await connection.fetch(_COUNTERS)}
    finally:
        await connection.close()
    problems = [f"{left} rows are left in the pool"] if left else []
    events: dict[str, Counter[str]] = defaultdict(Counter)
    for email, kind in rows:
        events[email][kind] += 1
    counted = Counter(kind for _, kind in rows)
    problems += [
        f"{kind}: {counters.get(kind, 0)} counted, {counted[kind]} events"
        for kind in sorted({*counters, *counted})
        if counters.get(kind, 0) != counted[kind]
    ]
    return problems + _compare(ledger, events, events_lost)


_COUNTERS = "SELECT type, sum(count) FROM aggregated_stats GROUP BY type"


async def _until_still(connection: "asyncpg.Connection[asyncpg.Record]", ledger: Ledger) -> None:
    """Until the pool is empty and every mail has its final event, or nothing can be expected any more."""
    wanted = sum(mail.accepted is not None for mail in ledger.mails.values())
    deadline = time.monotonic() + SETTLE_SECONDS
    since, last = time.monotonic(), (-1, -1)
    while time.monotonic() < deadline:
        left = await connection.fetchval("SELECT count(*) FROM sending_pool_emails")
        final = await connection.fetchval("SELECT count(DISTINCT email) FROM stats WHERE type = ANY($1)", list(FINAL))
        if left == 0 and final >= wanted:
            return
        if (left, final) != last:
            since, last = time.monotonic(), (left, final)
        if left == 0 and time.monotonic() - since > 15:
            return
        await asyncio.sleep(0.2)


def _compare(ledger: Ledger, events: dict[str, Counter[str]], events_lost: Sequence[Span]) -> list[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for address, mail in ledger.mails.items():
        kinds = events.get(address, Counter())
        ends = [kind for kind in FINAL for _ in range(kinds[kind])]
        if mail.accepted is None:
            found["never accepted"].append(address)
            continue
        if kinds["accepted"] != 1 and not (kinds["accepted"] == 0 and _within(mail.accepted, events_lost)):
            found[f"{kinds['accepted']} accepted events"].append(address)
        if len(ends) != 1 and not (not ends and _within(mail.delivered, events_lost)):
            found[f"final events: {', '.join(ends) or 'none'}"].append(address)
        if "delivered" in ends and mail.delivered is None:
            found["delivered, but no 250 was given"].append(address)
        if mail.good and ends and ends != ["delivered"]:
            found[f"{ends[0]}, but its destination accepts mail"].append(address)
    if ledger.unknown:
        found["arrived, but never sent"] = ledger.unknown
    return [f"{len(addresses)} mails: {what}, as {addresses[0]}" for what, addresses in found.items()]


def _within(at: float | None, spans: Sequence[Span]) -> bool:
    return at is not None and any(span.began <= at <= span.ended for span in spans)
