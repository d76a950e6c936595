"""What may be paused: a batch, all mail of a tenant's domain, or all mail to a recipients' domain.

In: the name of one of them. Out: a `Pause`, and the name_variants under which it is recognised in rows of the pool.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import idna


class Scope(StrEnum):
    """As in pauses.scope, which a test holds to this."""

    BATCH = "batch"
    DOMAIN = "domain"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Pause:
    """`subject` is canonical."""

    scope: Scope
    subject: str
    since: datetime


def name_variants(scope: Scope, subject: str) -> list[str]:
    """Addresses are kept as they were written: a destination's name may stand there as people write it, too."""
    if scope is not Scope.DESTINATION or "xn--" not in subject:
        return [subject]
    try:
        return [subject, idna.decode(subject)]
    except idna.IDNAError:
        return [subject]
