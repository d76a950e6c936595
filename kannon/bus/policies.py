"""MTA-STS policies in a key-value bucket, which all senders share (kannon.outbound.sts.policies).

In: a domain in A-labels, and a value. Out: the value that any sender stored last. A restart of senders or of NATS
forgets nothing. All raise Unavailable.
"""

from kannon.bus import streams
from kannon.bus.backlog import list_subjects
from kannon.bus.connection import Connection, unavailable

_STREAM = f"KV_{streams.POLICIES}"
_SUBJECTS = f"$KV.{streams.POLICIES}."


async def get(connection: Connection, domain: str) -> bytes | None:
    found = await connection.find_message(_STREAM, subject=f"{_SUBJECTS}{domain}")
    return found.data if found is not None else None


async def put(connection: Connection, domain: str, value: bytes) -> None:
    await connection.open()
    with unavailable():
        await connection.jetstream().publish(f"{_SUBJECTS}{domain}", value)


async def domains(connection: Connection) -> list[str]:
    found = await list_subjects(connection, _STREAM, f"{_SUBJECTS}>")
    return sorted(subject.removeprefix(_SUBJECTS) for subject in found)
