"""Events on the bus: as few messages as possible for a burst of events, and the events of a page of messages.

In: events, or messages of kannon.stats.* and kannon.bounce. Out: messages, or events. What cannot be read becomes a
dead letter, the rest of its message is handled.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from kannon.bus.publish import Outgoing
from kannon.errors import Poison
from kannon.mail.event import Event
from kannon.wire.event_pages import Unreadable, decode_events, encode_events


class Message(Protocol):
    @property
    def payload(self) -> bytes: ...
    async def dead_letter(self, reason: str) -> None: ...
    async def add_dead_letter(self, payload: bytes, reason: str) -> None: ...


M = TypeVar("M", bound=Message)


def pack(events: Sequence[Event], subject_of: Callable[[Event], str]) -> list[Outgoing]:
    """The events of a subject keep their order."""
    by_subject: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_subject[subject_of(event)].append(event)
    return [
        Outgoing(subject, msg_id, payload)
        for subject, some in by_subject.items()
        for msg_id, payload in encode_events(some)
    ]


async def read_events(page: Sequence[M]) -> tuple[list[Event], list[M]]:
    """The events of a page, and the messages to ack once the events are handled. Raises Unavailable."""
    events: list[Event] = []
    readable: list[M] = []
    for message in page:
        try:
            found = decode_events(message.payload)
        except Poison as poison:
            await message.dead_letter(str(poison))
            continue
        for each in found:
            if isinstance(each, Unreadable):
                await message.add_dead_letter(each.payload, each.reason)
            else:
                events.append(each)
        readable.append(message)
    return events, readable
