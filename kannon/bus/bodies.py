"""Bodies that are larger than one message of the bus: they travel in an object store, beside their envelopes.

The sender deletes a body when its envelope is settled, `delete_dead_letters` with a parked envelope. `Bodies.sweep`
deletes
what both miss: bodies whose envelope left the stream otherwise (max_age, a reclaimed row), or never came into it (a
crash). The bucket's max_age is the last net, also for pieces of a body whose upload was cut.
"""

import base64
import json
from typing import Any, Protocol

import anyio
import structlog
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from kannon.bus import streams
from kannon.bus.client import Connection, unavailable
from kannon.errors import Poison, Unavailable

log = structlog.get_logger()

FETCH_SECONDS = 30.0
_STREAM = f"OBJ_{streams.BODIES}"
_META = f"$O.{streams.BODIES}.M."
_CHUNKS = f"$O.{streams.BODIES}.C."


class Api(Protocol):
    """JetStream's own API: the answer's fields, errors included. Raises Unavailable."""

    async def __call__(self, subject: str, question: dict[str, object] | None = None) -> dict[str, Any]: ...


class Parked(Protocol):
    async def parked_bodies(self, *, after: int) -> tuple[set[str], int]:
        """Names in envelopes that were parked behind the sequence `after`, and the last sequence looked at."""


class Bodies:
    """`put`, `fetch`, `delete` by name; `sweep` now and then."""

    def __init__(self, connection: Connection, api: Api, parked: Parked) -> None:
        self._connection = connection
        self._api = api
        self._parked = parked
        self._seen: set[str] = set()
        self._gone_behind: dict[tuple[str, int], int] = {}  # (name, sequence of its entry) → sequence in the stream
        self._parked_names: set[str] = set()
        self._parked_seq = 0

    async def _store(self) -> ObjectStore:
        return await self._connection.client.jetstream().object_store(streams.BODIES)

    async def put(self, name: str, body: bytes) -> None:
        """Replaces one of the same name. Raises Unavailable."""
        with unavailable():
            await (await self._store()).put(name, body)

    async def fetch(self, name: str) -> bytes:
        """Raises Unavailable; Poison when it is gone for good."""
        with unavailable(), anyio.fail_after(FETCH_SECONDS):  # nats-py waits for ever for pieces that have expired
            try:
                found = await (await self._store()).get(name)
            except NotFoundError:
                raise Poison(f"body {name} is not in the object store") from None
        body = found.data or b""
        if len(body) != found.info.size:  # nats-py ends the transfer without an error when the connection is lost
            raise Unavailable(f"NATS: body {name} is cut")
        return body

    async def delete(self, name: str) -> None:
        """With its entry, so that no mark of deletion stays. Raises Unavailable."""
        entry = await self._entry(name)
        if entry is not None:
            await self._delete(entry)

    async def sweep(self) -> None:
        """Deletes lost bodies. Calls are at least as far apart as a body's upload and its envelope's publishing.

        A body seen by an earlier call has its envelope in the stream by now, or never will: the envelope's sequence is
        at most the stream's last one. When the stream begins behind that sequence, the envelope is gone; the body of a
        parked one stays. A body uploaded anew under the same name is another entry.
        """
        names = await self._names()
        kept: dict[tuple[str, int], int] = {}
        lost = []
        state = (await self._asked(f"$JS.API.STREAM.INFO.{streams.SENDER.stream}"))["state"]
        begins = int(state["first_seq"] if state["messages"] else state["last_seq"] + 1)
        for name in names & self._seen:
            entry = await self._entry(name)
            if entry is None:
                continue
            key = name, int(entry["seq"])
            kept[key] = self._gone_behind.get(key, int(state["last_seq"]))
            if key in self._gone_behind and begins > kept[key]:
                lost.append((name, entry))
        self._seen, self._gone_behind = names, kept
        if not lost:
            return
        # Looked at after the stream: an envelope is parked before it leaves the stream.
        parked, self._parked_seq = await self._parked.parked_bodies(after=self._parked_seq)
        self._parked_names = (self._parked_names | parked) & names
        for name, entry in lost:
            if name not in self._parked_names:
                await self._delete(entry)
                log.info("body without an envelope deleted", body=name)

    async def _names(self) -> set[str]:
        subjects: dict[str, int] = {}
        while True:
            question = {"subjects_filter": f"{_META}>", "offset": len(subjects)}
            info = await self._asked(f"$JS.API.STREAM.INFO.{_STREAM}", question)
            page = info["state"].get("subjects") or {}
            subjects |= page
            if not page or len(subjects) >= info.get("total", 0):
                return {base64.urlsafe_b64decode(subject.removeprefix(_META)).decode() for subject in subjects}

    async def _entry(self, name: str) -> dict[str, Any] | None:
        """The message that describes a body."""
        subject = _META + base64.urlsafe_b64encode(name.encode()).decode()
        answer = await self._api(f"$JS.API.STREAM.MSG.GET.{_STREAM}", {"last_by_subj": subject})
        if answer.get("error", {}).get("code") == streams.NOT_FOUND:
            return None
        message: dict[str, Any] = _good(answer)["message"]
        return message

    async def _delete(self, entry: dict[str, Any]) -> None:
        # The pieces first: a crash in between leaves a small entry behind and no large pieces.
        nuid = json.loads(base64.b64decode(entry["data"]))["nuid"]
        await self._asked(f"$JS.API.STREAM.PURGE.{_STREAM}", {"filter": _CHUNKS + nuid})
        await self._api(f"$JS.API.STREAM.MSG.DELETE.{_STREAM}", {"seq": entry["seq"]})  # an error: it is gone already

    async def _asked(self, subject: str, question: dict[str, object] | None = None) -> dict[str, Any]:
        return _good(await self._api(subject, question))


def _good(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise Unavailable(f"NATS: {answer['error'].get('description', 'refused')}")
    return answer
