"""Parked messages: what could not be handled, with the reason, kept in a stream of their own until an operator looks.

In: a message's subject and payload. Out: the form in which it is kept, and back. It is one line of JSON (subject and
reason) before the payload as it was.
"""

import base64
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from kannon.bus import streams
from kannon.bus.publish import Outgoing
from kannon.errors import Poison, Unavailable
from kannon.wire.envelopes import parse_envelope

log = structlog.get_logger()

MAX_REASON = 500


def _parked_subject(subject: str) -> str:
    return f"{streams.PARKED}.{subject.removeprefix('kannon.').replace('.', '_')}"


_PARKED_ENVELOPES = _parked_subject(streams.SENDING)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`sequence` is its place in the stream; `subject` is where it came from."""

    sequence: int
    parked_at: datetime
    subject: str
    reason: str
    payload: bytes


def encode_dead_letter(subject: str, payload: bytes, reason: str) -> bytes:
    head = json.dumps({"subject": subject, "reason": reason[:MAX_REASON]}).encode()
    return head + b"\n" + payload


def decode_dead_letter(message: dict[str, Any]) -> DeadLetter:
    """A message as the server's API gives it."""
    head, _, payload = base64.b64decode(message.get("data", "")).partition(b"\n")
    kept = json.loads(head)
    return DeadLetter(message["seq"], datetime.fromisoformat(message["time"]), kept["subject"], kept["reason"], payload)


def body_object(message: DeadLetter) -> str:
    """The name of an envelope's body in the object store; empty for every other message."""
    if message.subject != streams.SENDING:
        return ""
    try:
        return parse_envelope(message.payload).body_object
    except Poison:
        return ""


class DeadLetters(ABC):
    """The bus's part that has to do with them; each verb may raise Unavailable."""

    @abstractmethod
    async def _publish(self, messages: Sequence[Outgoing]) -> None: ...

    @abstractmethod
    async def _ask(self, subject: str, question: dict[str, object] | None = None) -> dict[str, Any]: ...

    @abstractmethod
    async def delete_body(self, name: str) -> None: ...

    async def park(self, subject: str, payload: bytes, reason: str) -> None:
        """Keeps a message that can never be handled. The same message is kept once."""
        log.error("message parked", subject=subject, why=reason)
        name = _parked_subject(subject)
        msg_id = hashlib.sha256(payload).hexdigest()
        await self._publish([Outgoing(name, msg_id, encode_dead_letter(subject, payload, reason))])

    async def list_dead_letters(self, *, after: int, take: int) -> tuple[list[DeadLetter], int]:
        """Those behind the sequence `after`, in their order, and how many there are in all."""
        found: list[DeadLetter] = []
        while len(found) < take:
            start = found[-1].sequence if found else after
            message = await self._next_parked({"seq": start + 1, "next_by_subj": f"{streams.PARKED}.>"})
            if message is None:
                break
            found.append(message)
        info = await self._ask(f"$JS.API.STREAM.INFO.{streams.PARKED_STREAM}")
        if "error" in info:
            raise _refused(info)
        return found, int(info["state"]["messages"])

    async def retry_dead_letters(self, sequence: int) -> bool:
        """Back to its subject, acknowledged, then off the parked stream: a crash in between leaves it in both, and what
        handles it bears that. False where there is no such message."""
        message = await self._next_parked({"seq": sequence})
        if message is None:
            return False
        await self._publish([Outgoing(message.subject, f"parked.{sequence}", message.payload)])
        return await self._delete_parked(sequence)

    async def delete_dead_letters(self, sequence: int) -> bool:
        """With the body that an envelope left in the object store. False where there is no such message.

        The body goes last: a crash in between leaves it to `kannon.bus.bodies` and deletes no body that is needed."""
        message = await self._next_parked({"seq": sequence})
        if message is None or not await self._delete_parked(sequence):
            return False
        if name := body_object(message):
            await self.delete_body(name)
        return True

    async def parked_bodies(self, *, after: int) -> tuple[set[str], int]:
        """Names of the bodies of parked envelopes behind the sequence `after`, and the last sequence looked at."""
        names: set[str] = set()
        while message := await self._next_parked({"seq": after + 1, "next_by_subj": _PARKED_ENVELOPES}):
            after = message.sequence
            names |= {name for name in [body_object(message)] if name}
        return names, after

    async def _delete_parked(self, sequence: int) -> bool:
        subject = f"$JS.API.STREAM.MSG.DELETE.{streams.PARKED_STREAM}"
        return (await self._ask(subject, {"seq": sequence})).get("success", False) is True

    async def _next_parked(self, which: dict[str, object]) -> DeadLetter | None:
        reply = await self._ask(f"$JS.API.STREAM.MSG.GET.{streams.PARKED_STREAM}", which)
        if "message" in reply:
            return decode_dead_letter(reply["message"])
        if reply["error"].get("code") == streams.NOT_FOUND:
            return None
        raise _refused(reply)


def _refused(reply: dict[str, Any]) -> Unavailable:
    return Unavailable(f"NATS: {reply['error'].get('description', 'refused')}")
