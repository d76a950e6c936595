"""Events ⇄ the payloads of kannon.stats.* and kannon.bounce: a Stats, or an EventPage of several.

In: events of one subject, in order. Out: payloads of at most MAX_EVENTS events and about MAX_BYTES each, since
a message costs NATS and its consumers as much as ten events. Decoding raises Poison only where no part can be read; an
unreadable event of a page comes back as Unreadable, and its neighbours are read.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from kannon.errors import Poison
from kannon.mail.event import Event
from kannon.pb.stats.types.stats_pb2 import EventPage
from kannon.wire.events import decode_event, encode_event

MAX_EVENTS = 200
MAX_BYTES = 128 << 10  # far below NATS's max_payload of 1 MiB


@dataclass(frozen=True, slots=True)
class Unreadable:
    payload: bytes
    reason: str


def encode_events(events: Sequence[Event]) -> Iterator[tuple[str, bytes]]:
    """(message id, payload) of each message. The same events in the same order get the same ids."""
    ids: list[str] = []
    parts: list[bytes] = []
    size = 0
    for event in events:
        part = encode_event(event)
        if parts and (len(parts) == MAX_EVENTS or size + len(part) > MAX_BYTES):
            yield _message(ids, parts)
            ids, parts, size = [], [], 0
        ids.append(event.event_id)
        parts.append(part)
        size += len(part)
    if parts:
        yield _message(ids, parts)


def _message(ids: list[str], parts: list[bytes]) -> tuple[str, bytes]:
    if len(parts) == 1:
        return ids[0], parts[0]
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32], EventPage(events=parts).SerializeToString()


def decode_events(payload: bytes) -> list[Event | Unreadable]:
    """Raises Poison where the bytes are neither an event nor a page of events."""
    try:
        parts = EventPage.FromString(payload).events
    except DecodeError as error:
        raise Poison(f"not an event: {error}") from None
    if not parts:
        return [decode_event(payload)]
    return [_decode(part) for part in parts]


def _decode(part: bytes) -> Event | Unreadable:
    try:
        return decode_event(part)
    except Poison as poison:
        return Unreadable(part, str(poison))
