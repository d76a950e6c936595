"""The keys of tracking tokens, kept in memory.

In: the `kid` of a well-formed token. Out: its key, or None. There are few keys, so one query loads all of them, at most
once in `_UNKNOWN` for ids that are not among them: invented ids cost neither memory nor queries. While PostgreSQL is
away, keys that are loaded stay valid.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import anyio

from kannon.errors import Unavailable
from kannon.mail.token import TokenVerifier

KeyLookup = Callable[[datetime], Awaitable[Mapping[str, str]]]
"""The time → the private keys (PEM) whose tokens are valid then, by kid. Raises Unavailable."""

_KNOWN = timedelta(minutes=10)  # an operator withdraws a key by deleting its row; bump honours it this much longer
_AWAY = timedelta(seconds=30)  # between two attempts to load the keys anew while PostgreSQL is away
_UNKNOWN = timedelta(seconds=2)  # another process may just have made the key
_NEVER = datetime.min.replace(tzinfo=UTC)


class _Loading:
    """One query under way, and the callers that wait for it."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.error: Unavailable | None = None


class VerificationKeys:
    def __init__(self, look_up: KeyLookup, clock: Callable[[], datetime]) -> None:
        self._look_up = look_up
        self._clock = clock
        self._keys: dict[str, TokenVerifier] = {}
        self._known_until = _NEVER
        self._unknown_until = _NEVER
        self._loading: _Loading | None = None

    async def find(self, kid: str) -> TokenVerifier | None:
        """Raises Unavailable where the key is not loaded and PostgreSQL is away."""
        while self._clock() >= (self._known_until if kid in self._keys else self._unknown_until):
            if (loading := self._loading) is None:
                loading = self._loading = _Loading()
                await self._load(loading)
            else:
                await loading.done.wait()
            if loading.error is not None and kid not in self._keys:
                raise Unavailable(str(loading.error)) from loading.error
        return self._keys.get(kid)

    async def _load(self, loading: _Loading) -> None:
        try:
            found = await self._look_up(self._clock())
        except Unavailable as error:
            loading.error = error
            self._known_until = self._clock() + _AWAY
        else:
            self._keys = {kid: TokenVerifier(pem) for kid, pem in found.items()}
            now = self._clock()
            self._known_until, self._unknown_until = now + _KNOWN, now + _UNKNOWN
        finally:
            self._loading = None
            loading.done.set()
