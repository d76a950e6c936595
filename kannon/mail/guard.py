"""The guard: pauses a batch before a dead list or an unwanted mail costs the sending addresses their reputation.

In: what the deliveries of a batch have come to, and the rule of its domain. Out: why the batch must pause, or None. The
caller pauses it once; a batch that was resumed goes on whatever comes.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

SMALLEST_BATCH: Final = 20
"""Accepted recipients; smaller batches are not counted. As in the index messages_large and guard.after_outcomes."""
_PRECISION: Final = 1000  # a percentage counts to three decimals


class Cause(StrEnum):
    """Why the guard pauses a batch."""

    DEAD_ADDRESSES = "dead_addresses"
    COMPLAINTS = "complaints"


@dataclass(frozen=True, slots=True)
class BatchOutcomes:
    """`outcomes`: deliveries that are delivered, bounced or failed. `dead`: hard bounces, also those that a report
    brings after the delivery."""

    outcomes: int
    delivered: int
    dead: int
    complaints: int


@dataclass(frozen=True, slots=True)
class GuardOverrides:
    """What a domain has instead of the configuration; None: as configured."""

    enabled: bool | None = None
    dead_percent: float | None = None
    complaint_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """`text` is for people."""

    cause: Cause
    text: str


@dataclass(frozen=True, slots=True)
class GuardRule:
    """More than `dead_percent` of at least `after_outcomes`, or more than `complaint_percent` of at least
    `after_delivered`."""

    enabled: bool = True
    after_outcomes: int = 200
    dead_percent: float = 10.0
    after_delivered: int = 1000
    complaint_percent: float = 0.3

    def override(self, overrides: GuardOverrides) -> "GuardRule":
        enabled, dead, complaint = overrides.enabled, overrides.dead_percent, overrides.complaint_percent
        return replace(
            self,
            enabled=self.enabled if enabled is None else enabled,
            dead_percent=self.dead_percent if dead is None else dead,
            complaint_percent=self.complaint_percent if complaint is None else complaint,
        )

    def judge(self, found: BatchOutcomes) -> Trip | None:
        """The first reason to pause, or None."""
        if not self.enabled:
            return None
        if found.outcomes >= self.after_outcomes and _exceeds(found.dead, found.outcomes, self.dead_percent):
            share = _percent(found.dead, found.outcomes)
            text = (
                f"{found.dead} of {found.outcomes} addresses are dead ({share}; the limit is {self.dead_percent:g} %)"
            )
            return Trip(Cause.DEAD_ADDRESSES, text)
        if found.delivered >= self.after_delivered and _exceeds(
            found.complaints, found.delivered, self.complaint_percent
        ):
            share = _percent(found.complaints, found.delivered)
            text = (
                f"{found.complaints} of {found.delivered} recipients complained "
                f"({share}; the limit is {self.complaint_percent:g} %)"
            )
            return Trip(Cause.COMPLAINTS, text)
        return None


NO_GUARD: Final = GuardRule(enabled=False)


def _exceeds(part: int, whole: int, percent: float) -> bool:
    """In whole numbers: 0.3 % of 1,000 are exactly three."""
    return part * 100 * _PRECISION > round(percent * _PRECISION) * whole


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}".rstrip("0").rstrip(".") + " %"
