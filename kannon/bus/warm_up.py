"""The counts of source addresses that warm up, in a key-value bucket that all senders share (kannon.outbound.warmup).

In: a key of address, provider and day. Out: how many mails were added. Two senders that add at the same time do so one
after the other: a write names the sequence that it has read. All raise Unavailable.
"""

from nats.js.errors import APIError

from kannon.bus import streams
from kannon.bus.connection import Connection, unavailable
from kannon.errors import Unavailable

_STREAM = f"KV_{streams.WARM_UP}"
_SUBJECTS = f"$KV.{streams.WARM_UP}."
_WRONG_LAST_SEQUENCE = 10071
_TRIES = 50  # each lost race is another sender's success


async def take(connection: Connection, key: str, count: int, limit: int) -> tuple[int, int]:
    """Adds up to `count`, while the sum stays within `limit`. What was added, and the sum."""
    for _ in range(_TRIES):
        found = await connection.find_message(_STREAM, subject=f"{_SUBJECTS}{key}")
        used = int(found.data or b"0") if found is not None else 0
        taken = max(0, min(count, limit - used))
        if not taken or await _write(connection, key, used + taken, found.seq or 0 if found is not None else 0):
            return taken, used + taken
    raise Unavailable(f"NATS: {_TRIES} other writes to {key}")


async def subtract(connection: Connection, key: str, count: int) -> None:
    for _ in range(_TRIES):
        found = await connection.find_message(_STREAM, subject=f"{_SUBJECTS}{key}")
        if found is None:
            return  # of another day: expired
        if await _write(connection, key, max(0, int(found.data or b"0") - count), found.seq or 0):
            return
    raise Unavailable(f"NATS: {_TRIES} other writes to {key}")


async def _write(connection: Connection, key: str, value: int, last: int) -> bool:
    """False where another sender has written meanwhile."""
    await connection.open()
    headers = {"Nats-Expected-Last-Subject-Sequence": str(last)}
    with unavailable():
        try:
            await connection.jetstream().publish(f"{_SUBJECTS}{key}", str(value).encode(), headers=headers)
        except APIError as error:
            if error.err_code == _WRONG_LAST_SEQUENCE:
                return False
            raise
    return True
