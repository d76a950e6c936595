"""Bodies that are larger than one message of the bus: they travel in an object store, beside their envelopes.

The sender deletes a body when its envelope is settled; deleting a dead letter deletes its body. `Bodies.sweep` deletes
the bodies that both miss: the envelope left the stream otherwise (max_age, a reclaimed row), or a crash kept it out.
The bucket's max_age is the last safety net, also for the chunks of an upload that was cut.
"""

import base64
import json
from typing import Protocol

import anyio
import structlog
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from kannon.bus import streams
from kannon.bus.backlog import list_subjects
from kannon.bus.connection import Connection, unavailable
from kannon.errors import Poison, Unavailable

log = structlog.get_logger()

FETCH_SECONDS = 30.0
_STREAM = f"OBJ_{streams.BODIES}"
_META = f"$O.{streams.BODIES}.M."
_CHUNKS = f"$O.{streams.BODIES}.C."


class DeadLetters(Protocol):
    async def list_bodies(self, *, after: int) -> tuple[set[str], int]:
        """Names in dead envelopes behind the sequence `after`, and the last sequence read."""


class Bodies:
    """`put`, `fetch`, `delete` by name; `sweep` at intervals."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen: set[str] = set()
        self._gone_behind: dict[tuple[str, int], int] = {}  # (name, sequence of its entry) → sequence in the stream
        self._dead_names: set[str] = set()
        self._dead_seq = 0

    async def _store(self) -> ObjectStore:
        return await self._connection.jetstream().object_store(streams.BODIES)

    async def put(self, name: str, body: bytes) -> None:
        """Replaces one of the same name. Raises Unavailable."""
        with unavailable():
            await (await self._store()).put(name, body)

    async def fetch(self, name: str) -> bytes:
        """Raises Unavailable; Poison where the store does not hold it any longer."""
        with unavailable(), anyio.fail_after(FETCH_SECONDS):  # nats-py waits without limit for chunks that have expired
            try:
                found = await (await self._store()).get(name)
            except NotFoundError:
                raise Poison(f"body {name} is not in the object store") from None
        body = found.data or b""
        if len(body) != found.info.size:  # nats-py ends the transfer without an error when the connection is lost
            raise Unavailable(f"NATS: body {name} is incomplete: {len(body)} of {found.info.size} bytes")
        return body

    async def delete(self, name: str) -> None:
        """With its entry: nats-py's delete would leave a mark for each body. Raises Unavailable."""
        entry = await self._entry(name)
        if entry is not None:
            await self._delete(entry)

    async def sweep(self, dead_letters: DeadLetters) -> None:
        """Deletes lost bodies. Calls are at least as far apart as a body's upload and its envelope's publishing.

        A body seen by an earlier call has its envelope in the stream by now, or never will: the envelope's sequence is
        at most the stream's last one. When the stream begins behind that sequence, the envelope is gone; the body of a
        dead letter stays. A body uploaded again under the same name is another entry.
        """
        names = await self._names()
        with unavailable():
            state = (await self._connection.jetstream().stream_info(streams.SENDER.stream)).state
        begins = state.first_seq if state.messages else state.last_seq + 1
        watched: dict[tuple[str, int], int] = {}
        lost = []
        for name in names & self._seen:
            entry = await self._entry(name)
            if entry is None:
                continue
            key = name, entry.seq or 0
            watched[key] = self._gone_behind.get(key, state.last_seq)
            if key in self._gone_behind and begins > watched[key]:
                lost.append((name, entry))
        self._seen, self._gone_behind = names, watched
        if not lost:
            return
        # Read after the stream: an envelope becomes a dead letter before it leaves the stream.
        dead, self._dead_seq = await dead_letters.list_bodies(after=self._dead_seq)
        self._dead_names = (self._dead_names | dead) & names
        for name, entry in lost:
            if name not in self._dead_names:
                await self._delete(entry)
                log.info("body without an envelope deleted", body=name)

    async def _names(self) -> set[str]:
        subjects = await list_subjects(self._connection, _STREAM, f"{_META}>")
        return {base64.urlsafe_b64decode(subject.removeprefix(_META)).decode() for subject in subjects}

    async def _entry(self, name: str) -> RawStreamMsg | None:
        """The message that describes a body."""
        subject = _META + base64.urlsafe_b64encode(name.encode()).decode()
        return await self._connection.find_message(_STREAM, subject=subject)

    async def _delete(self, entry: RawStreamMsg) -> None:
        # The chunks first: a crash in between leaves a small entry behind and no large chunks.
        nuid = json.loads(entry.data or b"{}")["nuid"]
        with unavailable():
            await self._connection.jetstream().purge_stream(_STREAM, subject=_CHUNKS + nuid)
        await self._connection.delete_message(_STREAM, entry.seq or 0)
