"""Which events a reader wants, and a place among all stored ones."""

from dataclasses import dataclass

from kannon.mail.event import Event, EventType


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """`position` grows in the order in which events are stored."""

    position: int
    event: Event


@dataclass(frozen=True, slots=True)
class EventFilter:
    """An empty field matches all. `email` matches in any letter case."""

    domain: str = ""
    types: frozenset[EventType] = frozenset()
    message_id: str = ""
    email: str = ""
    tag: str = ""

    @property
    def is_sparse(self) -> bool:
        """Whether rows that an index finds may not match."""
        return bool(self.types or self.email or self.tag or (self.message_id and self.domain))

    def matches(self, event: Event) -> bool:
        return (
            (not self.domain or event.domain == self.domain)
            and (not self.types or event.type in self.types)
            and (not self.message_id or event.message_id == self.message_id)
            and (not self.email or event.email.lower() == self.email.lower())
            and (not self.tag or event.tag == self.tag)
        )
