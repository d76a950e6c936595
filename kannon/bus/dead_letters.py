"""Dead letters: messages that no component can handle, stored with the reason in a stream of their own.

In: a message's subject, payload and reason. Out: dead letters for an operator, who retries or deletes them. Stored
form: one line of JSON (subject and reason), then the payload unchanged.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from nats.js.api import RawStreamMsg

from kannon.bus import streams
from kannon.bus.backlog import read_backlog
from kannon.bus.connection import Connection
from kannon.bus.publish import Outgoing
from kannon.errors import Poison
from kannon.wire.envelopes import parse_envelope

log = structlog.get_logger()

MAX_REASON = 500


def _dead_letter_subject(subject: str) -> str:
    subject = streams.without_partition(subject)
    return f"{streams.DEAD_LETTERS}.{subject.removeprefix('kannon.').replace('.', '_')}"


_DEAD_ENVELOPES = _dead_letter_subject(streams.SENDING)
_ANY = f"{streams.DEAD_LETTERS}.>"

Publish = Callable[[Sequence[Outgoing]], Awaitable[None]]


class Bodies(Protocol):
    async def delete(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`sequence` is its place in the stream; `subject` is the one it was published to."""

    sequence: int
    parked_at: datetime
    subject: str
    reason: str
    payload: bytes


def encode_dead_letter(subject: str, payload: bytes, reason: str) -> bytes:
    head = json.dumps({"subject": subject, "reason": reason[:MAX_REASON]}).encode()
    return head + b"\n" + payload


def decode_dead_letter(message: RawStreamMsg) -> DeadLetter:
    assert message.seq is not None and message.time is not None, "the server gives both"  # noqa: S101, PT018
    head, _, payload = (message.data or b"").partition(b"\n")
    fields = json.loads(head)
    return DeadLetter(message.seq, message.time, fields["subject"], fields["reason"], payload)


def body_object(letter: DeadLetter) -> str:
    """The name of an envelope's body in the object store; empty for every other message."""
    if streams.without_partition(letter.subject) != streams.SENDING:
        return ""
    try:
        return parse_envelope(letter.payload).body_object
    except Poison:
        return ""


class DeadLetters:
    """Each method may raise Unavailable."""

    def __init__(self, connection: Connection, publish: Publish, bodies: Bodies) -> None:
        self._connection = connection
        self._publish = publish
        self._bodies = bodies

    async def add(self, subject: str, payload: bytes, reason: str) -> None:
        """The same message is stored once."""
        log.error("message moved to the dead letters", subject=subject, why=reason)
        msg_id = hashlib.sha256(payload).hexdigest()
        letter = encode_dead_letter(subject, payload, reason)
        await self._publish([Outgoing(_dead_letter_subject(subject), msg_id, letter)])

    async def page(self, *, after: int, take: int) -> tuple[list[DeadLetter], int]:
        """Those behind the sequence `after`, oldest first, and the number of all."""
        found: list[DeadLetter] = []
        while len(found) < take:
            letter = await self._next(_ANY, found[-1].sequence if found else after)
            if letter is None:
                break
            found.append(letter)
        return found, (await read_backlog(self._connection, streams.DEAD_LETTERS_STREAM)).messages

    async def retry(self, sequence: int) -> bool:
        """Publishes the message to its subject again, then deletes it here: after a crash in between it is in both
        streams, and its handler sees a duplicate. False where there is no such message."""
        letter = await self._find(sequence)
        if letter is None:
            return False
        await self._publish([Outgoing(letter.subject, f"parked.{sequence}", letter.payload)])
        return await self._connection.delete_message(streams.DEAD_LETTERS_STREAM, sequence)

    async def delete(self, sequence: int) -> bool:
        """With the body that an envelope has in the object store. False where there is no such message.

        The body goes last: after a crash in between `Bodies.sweep` deletes it, and no body that is needed is lost."""
        letter = await self._find(sequence)
        if letter is None or not await self._connection.delete_message(streams.DEAD_LETTERS_STREAM, sequence):
            return False
        if name := body_object(letter):
            await self._bodies.delete(name)
        return True

    async def list_bodies(self, *, after: int) -> tuple[set[str], int]:
        """Names of the bodies of dead envelopes behind the sequence `after`, and the last sequence read."""
        names: set[str] = set()
        while letter := await self._next(_DEAD_ENVELOPES, after):
            after = letter.sequence
            names |= {name for name in [body_object(letter)] if name}
        return names, after

    async def _find(self, sequence: int) -> DeadLetter | None:
        if sequence < 1:
            return None
        found = await self._connection.find_message(streams.DEAD_LETTERS_STREAM, sequence=sequence)
        return None if found is None else decode_dead_letter(found)

    async def _next(self, subject: str, after: int) -> DeadLetter | None:
        found = await self._connection.find_message(
            streams.DEAD_LETTERS_STREAM, sequence=max(0, after) + 1, subject=subject
        )
        return None if found is None else decode_dead_letter(found)
