"""The public keys of tracking tokens, looked up once and remembered; unknown ids are remembered too.

In: the `kid` of a well-formed token. Out: its key, or None. Whatever strangers invent, memory is bounded and the
database sees one look-up per id at a time and few at once. While the database is away a key that was known stays so.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from kannon.errors import Unavailable
from kannon.mail.token import TokenVerifier

KeyLookup = Callable[[str, datetime], Awaitable[str | None]]
"""A kid and the time → the public key as PEM; None for one that is unknown or dead. Raises Unavailable."""

_KNOWN = timedelta(minutes=10)  # a key is withdrawn by deleting its row; this long it may still be honoured
_AWAY = timedelta(seconds=30)  # how long a known key is not asked for again when the database did not answer
_UNKNOWN = timedelta(seconds=5)  # another process may just have made it
_MAX_KEYS = 4096
_MAX_LOOKUPS = 4


@dataclass(frozen=True, slots=True)
class _Answer:
    key: TokenVerifier | None
    until: datetime


class VerificationKeys:
    def __init__(self, look_up: KeyLookup, clock: Callable[[], datetime]) -> None:
        self._look_up = look_up
        self._clock = clock
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._asking: dict[str, anyio.Event] = {}
        self._limiter = anyio.CapacityLimiter(_MAX_LOOKUPS)

    async def find(self, kid: str) -> TokenVerifier | None:
        """Raises Unavailable where it is not remembered and cannot be asked for."""
        while (answer := self._answers.get(kid)) is None or answer.until <= self._clock():
            if (asked := self._asking.get(kid)) is not None:
                await asked.wait()
            else:
                await self._ask(kid)
        return answer.key

    async def _ask(self, kid: str) -> None:
        self._asking[kid] = asked = anyio.Event()
        try:
            async with self._limiter:
                pem = await self._look_up(kid, self._clock())
        except Unavailable:
            last = self._answers.get(kid)
            if last is None or last.key is None:
                raise
            self._answers[kid] = _Answer(last.key, self._clock() + _AWAY)
            return
        finally:
            del self._asking[kid]
            asked.set()  # those who waited look again, and one of them asks if this failed
        key = TokenVerifier(pem) if pem is not None else None
        self._answers[kid] = _Answer(key, self._clock() + (_UNKNOWN if key is None else _KNOWN))
        self._answers.move_to_end(kid)
        while len(self._answers) > _MAX_KEYS:
            self._answers.popitem(last=False)
