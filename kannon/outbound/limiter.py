"""How many mails are being sent at once in this process, and that hanging peers cannot take all the places.

In: `take` before a mail is sent, `free` after. Proven destinations (they have taken mail lately) may have every place;
all others together only half of them, and a quarter where one of them wants a second, so the rest is always there for
destinations that move. A mail without an end after STALLED_SECONDS gives its place up, to as many again: a peer may
hang for ten minutes (RFC 5321 §4.5.3.2.6), and waiting costs a socket, not work.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum

STALLED_SECONDS = 10.0


class Claim(Enum):
    """The value is the share of all places that it may bring the unproven ones to."""

    PROVEN = 1.0
    FIRST = 0.5  # an unproven destination's only mail at the moment
    FURTHER = 0.25  # another one of it


@dataclass(slots=True, eq=False)
class Place:
    claim: Claim
    since: float
    stalled: bool = False


class Limiter:
    def __init__(self, total: int) -> None:
        self._total = total
        self._places: dict[Place, None] = {}  # in order of `since`
        self._unproven = 0
        self._stalled = 0
        self._waiting: dict[Claim, deque[asyncio.Future[Place]]] = {claim: deque() for claim in Claim}

    @property
    def taken(self) -> int:
        """Without those that have given their place up."""
        return len(self._places)

    def take_now(self, claim: Claim) -> Place | None:
        return None if self._waiting[claim] or not self._room(claim) else self._take(claim)

    async def take(self, claim: Claim) -> Place:
        """First come, first served, within each kind of claim."""
        if place := self.take_now(claim):
            return place
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting[claim].append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.free(turn.result())
            elif turn in self._waiting[claim]:  # while all places hang, thousands come and go
                self._waiting[claim].remove(turn)
            raise

    def free(self, place: Place) -> None:
        if place.stalled:
            self._stalled -= 1
        else:
            self._leave(place)
            self._call_next()

    def let_go(self, before: float) -> None:
        """Those who took their place before this time give it up."""
        while self._places and self._stalled < self._total:
            oldest = next(iter(self._places))
            if oldest.since > before:
                break
            self._leave(oldest)
            oldest.stalled = True
            self._stalled += 1
        self._call_next()

    def _room(self, claim: Claim) -> bool:
        if len(self._places) >= self._total:
            return False
        return claim is Claim.PROVEN or self._unproven < max(1, int(self._total * claim.value))

    def _take(self, claim: Claim) -> Place:
        place = Place(claim, time.monotonic())
        self._places[place] = None
        self._unproven += claim is not Claim.PROVEN
        return place

    def _leave(self, place: Place) -> None:
        del self._places[place]
        self._unproven -= place.claim is not Claim.PROVEN

    def _call_next(self) -> None:
        for claim, waiting in self._waiting.items():
            while waiting and self._room(claim):
                turn = waiting.popleft()
                if not turn.done():
                    turn.set_result(self._take(claim))
