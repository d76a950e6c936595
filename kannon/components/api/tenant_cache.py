"""Remembers for a second what an API key opens, so that a busy caller does not cost a look-up for each call.

In: a domain and the SHA-256 of a secret. Out: the grant, or None. Only keys that open something are remembered, so a
wrong key is looked up each time. A change made through this process holds from its answer on, since `clear` follows
it; a change made elsewhere holds after MAX_AGE_SECONDS at the latest, and so does the end of a key's validity.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cachetools import LRUCache

from kannon.mail.tenants import KeyGrant

MAX_AGE_SECONDS = 1.0
RENEW_SECONDS = 0.5
"""One call renews an answer of this age while the others still use it: a busy key is never looked up by all at once."""
MAX_KEYS = 10_000

FindGrant = Callable[[str, bytes], Awaitable[KeyGrant | None]]


@dataclass(slots=True)
class _Known:
    grant: KeyGrant
    renew_at: float
    until: float


class TenantCache:
    """`find` has the signature of the look-up that it saves."""

    def __init__(self, find_grant: FindGrant, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._find_grant = find_grant
        self._clock = clock
        self._known: LRUCache[tuple[str, bytes], _Known] = LRUCache(MAX_KEYS)
        self._cleared = 0

    async def find(self, domain: str, secret_sha256: bytes) -> KeyGrant | None:
        key = (domain, secret_sha256)
        now, cleared = self._clock(), self._cleared
        known = self._known.get(key)
        if known is not None and now < known.renew_at:
            return known.grant
        if known is not None:
            known.renew_at = known.until
        grant = await self._find_grant(domain, secret_sha256)
        if grant is None:
            self._known.pop(key, None)
        elif cleared == self._cleared:  # else the answer may be older than the change
            # The age counts from before the look-up: a change during it may be missing from the answer.
            self._known[key] = _Known(grant, now + RENEW_SECONDS, now + MAX_AGE_SECONDS)
        return grant

    def clear(self) -> None:
        """After each committed change of what a tenant may do."""
        self._known.clear()
        self._cleared += 1
