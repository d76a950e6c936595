"""The life cycle of a DKIM key, and the conditions of each transition.

In: a domain's keys, and DNS answers. Out: the selector of the next key, whether a key must be published, and
FailedPrecondition for a transition that is not permitted now. A domain never lacks an RSA signature, and a key is not
deleted while a verifier may still need it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kannon.errors import FailedPrecondition
from kannon.mail.build.dkim import RSA_SHA256
from kannon.mail.dns.records import Record, check_record, dkim_record

FIRST_SELECTOR = "kannon"
KEY_CACHE_TIME = timedelta(minutes=2)
"""A dispatcher may sign with a retired key for this long: it caches keys for a minute, unless it is
notified of a change."""


class KeyState(StrEnum):
    NEXT = "next"  # created; does not sign before its activation
    ACTIVE = "active"  # signs; at most one per algorithm
    RETIRED = "retired"  # does not sign; must be published until its mail is delivered
    DELETED = "deleted"  # private key erased, selector never used again


TRANSITIONS: dict[KeyState, frozenset[KeyState]] = {
    KeyState.NEXT: frozenset({KeyState.ACTIVE, KeyState.DELETED}),
    KeyState.ACTIVE: frozenset({KeyState.RETIRED}),
    KeyState.RETIRED: frozenset({KeyState.ACTIVE, KeyState.DELETED}),  # active: back, if the new key fails
    KeyState.DELETED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """A row of dkim_keys without its secret. `under_way`: a delivery that it may have signed has no outcome yet."""

    domain: str
    selector: str
    algorithm: str
    public_key: str
    state: KeyState
    created_at: datetime
    retired_at: datetime | None = None
    deleted_at: datetime | None = None
    under_way: bool = False

    @property
    def record(self) -> Record:
        return dkim_record(self.domain, self.selector, self.algorithm, self.public_key)

    def needed_until(self, window: timedelta) -> datetime | None:
        """The earliest time at which its record may be removed; None unless it is retired.

        `window` is the retry window: a server behind the recipient's may queue a mail before it verifies it, hardly
        longer than this one.
        """
        return self.retired_at + KEY_CACHE_TIME + window if self.state is KeyState.RETIRED and self.retired_at else None

    def must_be_published(self, now: datetime, window: timedelta) -> bool:
        """Whether verifiers need its record."""
        if self.state is KeyState.RETIRED:
            until = self.needed_until(window)
            return self.under_way or (until is not None and now < until)
        return self.state is not KeyState.DELETED


def next_selector(used: Iterable[str]) -> str:
    """kannon, kannon2, kannon3 …; selectors are never reused, even of deleted keys."""
    numbers = [int(match[1] or 1) for each in used if (match := re.fullmatch(rf"{FIRST_SELECTOR}(\d{{0,9}})", each))]
    number = max(numbers, default=0) + 1
    return FIRST_SELECTOR if number == 1 else f"{FIRST_SELECTOR}{number}"


def check_transition(key: RegisteredKey, state: KeyState) -> None:
    """Raises FailedPrecondition."""
    if key.state is KeyState.ACTIVE and state is KeyState.RETIRED and key.algorithm == RSA_SHA256:
        # RFC 8463 §1: many verifiers support RSA only.
        raise FailedPrecondition("selector: every mail needs an RSA signature; activate another RSA key instead")
    if state in TRANSITIONS[key.state]:
        return
    if key.state is KeyState.ACTIVE:
        instead = "activate another key first" if key.algorithm == RSA_SHA256 else "retire it first"
        raise FailedPrecondition(f'selector: "{key.selector}" signs mail; {instead}')
    raise FailedPrecondition(f'selector: "{key.selector}" cannot become {state}, it is {key.state}')


def check_published(key: RegisteredKey, found: Sequence[str]) -> None:
    """`found`: the TXT records of its name. Raises FailedPrecondition with the record and its problem."""
    record = key.record
    check = check_record(record, found)
    if not check.good:
        raise FailedPrecondition(f"{record.name} TXT: {check.problem}; expected: {record.value}")


def check_deletable(key: RegisteredKey, now: datetime, window: timedelta) -> None:
    """Raises FailedPrecondition while mail that the key signed may be in transit."""
    until = key.needed_until(window)
    if until is not None and now < until:
        raise FailedPrecondition(
            f'selector: "{key.selector}" is needed until {until.isoformat(timespec="seconds")}: mail that it signed may'
            " still be on its way"
        )
    if key.under_way:
        raise FailedPrecondition(f'selector: "{key.selector}" is needed: deliveries that it signed have no outcome yet')
