"""The servers: whether `kannon serve` is well, and the round trips to PostgreSQL and NATS.

In: the configuration. Out: findings.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kannon.bus.connection import Connection, unavailable
from kannon.cli.doctor.finding import Finding, bad, good, warn
from kannon.db.pool import open_database
from kannon.errors import Unavailable

_SLOW_MS: Final = 5.0
_CLOCK_SECONDS: Final = 1.0
_ASKS: Final = 5


def judge_health(failing: Mapping[str, str]) -> list[Finding]:
    """`failing`: name → problem, as `kannon health` prints them."""
    if not failing:
        return [good("kannon serve", "all components and dependencies work")]
    return [bad(f"kannon serve: {name}", problem, "read its log") for name, problem in failing.items()]


async def examine_postgres(url: str) -> list[Finding]:
    """Round trip, and the difference between its clock and this machine's: PostgreSQL's decides when mail is due."""
    database = await open_database(url, pool_size=1, name="kannon doctor")
    try:
        async with database.fail_fast().acquire() as connection:
            took = await _measure(lambda: connection.fetchval("SELECT 1"))
            before = time.time()
            theirs = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8"))
            ahead = theirs - (before + time.time()) / 2
    except Unavailable as error:
        return [bad("PostgreSQL", str(error).removeprefix("PostgreSQL: "), "start it, or correct postgres.url")]
    finally:
        await database.close()
    return [_judge_round_trip("PostgreSQL", took), judge_clocks(ahead)]


def judge_clocks(ahead: float) -> Finding:
    """`ahead`: seconds by which PostgreSQL's clock is ahead of this machine's."""
    if abs(ahead) < _CLOCK_SECONDS:
        return good("PostgreSQL's clock", "agrees with this machine's")
    side = "ahead of" if ahead > 0 else "behind"
    return bad("PostgreSQL's clock", f"{abs(ahead):.0f} s {side} this machine's", "run an NTP client on both machines")


async def examine_nats(url: str) -> Finding:
    """Round trip to JetStream, which changes nothing."""
    connection = Connection(url, name="kannon doctor")
    try:
        await connection.open()
        with unavailable():
            took = await _measure(connection.jetstream().account_info)
    except Unavailable as error:
        return bad("NATS", str(error).removeprefix("NATS: "), "start it, or correct nats.url")
    finally:
        await connection.close()
    return _judge_round_trip("NATS", took)


async def _measure(ask: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of the fastest of several round trips."""
    took = []
    for _ in range(_ASKS):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


def _judge_round_trip(name: str, milliseconds: float) -> Finding:
    said = f"answers in {milliseconds:.1f} ms"
    if milliseconds >= _SLOW_MS:
        return warn(name, f"{said}: each page of mail waits for it several times", "move it nearer to this machine")
    return good(name, said)
