"""The states of a delivery in the pool, and their transitions. A test compares the database's CHECK with this table.

to_validate → validating → scheduled → sending → (row deleted)
"""

from enum import StrEnum


class State(StrEnum):
    """Of a row of sending_pool_emails."""

    TO_VALIDATE = "to_validate"
    VALIDATING = "validating"
    SCHEDULED = "scheduled"
    SENDING = "sending"


IN_FLIGHT = frozenset({State.VALIDATING, State.SENDING})
"""States with a claimed_at. The component that owns the state reclaims a claim after its lease."""

TRANSITIONS: dict[State, frozenset[State]] = {
    State.TO_VALIDATE: frozenset({State.VALIDATING}),
    State.VALIDATING: frozenset({State.SCHEDULED, State.TO_VALIDATE}),  # valid; lease expired
    State.SCHEDULED: frozenset({State.SENDING}),
    State.SENDING: frozenset({State.SCHEDULED}),  # deferred, or lease expired
}
"""The states that may follow each state. Every row may also be deleted."""
