"""The states of a delivery in the pool and who moves it where; the database's CHECK is tested against this table.

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
"""States that carry claimed_at; a claim that outlives its lease is reclaimed by the component that owns the state."""

TRANSITIONS: dict[State, frozenset[State]] = {
    State.TO_VALIDATE: frozenset({State.VALIDATING}),
    State.VALIDATING: frozenset({State.SCHEDULED, State.TO_VALIDATE}),  # checked; lease ran out
    State.SCHEDULED: frozenset({State.SENDING}),
    State.SENDING: frozenset({State.SCHEDULED}),  # deferred, or lease ran out
}
"""Where a row may go from each state, besides being deleted."""
