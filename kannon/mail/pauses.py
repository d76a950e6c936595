"""Pauses of a batch, of all mail of a tenant's domain, or of all mail to a recipients' domain.

In: the name of one of them. Out: a `Pause`, and the variants of the name in rows of the pool.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import idna


class Scope(StrEnum):
    """As in pauses.scope; a test compares both."""

    BATCH = "batch"
    DOMAIN = "domain"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Pause:
    """`subject` is canonical. `reason`: the guard's; empty: an operator paused it."""

    scope: Scope
    subject: str
    since: datetime
    reason: str = ""


def name_variants(scope: Scope, subject: str) -> list[str]:
    """Addresses are stored as written, so a destination also occurs with its internationalised name (U-labels)."""
    if scope is not Scope.DESTINATION or "xn--" not in subject:
        return [subject]
    try:
        return [subject, idna.decode(subject)]
    except idna.IDNAError:
        return [subject]
