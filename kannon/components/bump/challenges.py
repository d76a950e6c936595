"""Answers to HTTP-01 challenges (RFC 8555 §8.3), which one node stores and any node's bump gives.

In: a token. Out: the answer, or None. One query loads all answers, at most every _PAUSE_SECONDS, whatever tokens are
invented.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio

PATH: Final = "/.well-known/acme-challenge/"
ListChallenges = Callable[[], Awaitable[Mapping[str, str]]]
"""Answers by token. Raises Unavailable."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_PAUSE_SECONDS: Final = 0.2


class Challenges:
    def __init__(self, look_up: ListChallenges) -> None:
        self._look_up = look_up
        self._answers: Mapping[str, str] = {}
        self._lock = anyio.Lock()
        self._loaded = 0.0

    async def find(self, token: str) -> str | None:
        """Raises Unavailable."""
        if not _TOKEN.fullmatch(token):
            return None
        if token not in self._answers:
            asked = anyio.current_time()
            async with self._lock:
                if self._loaded < asked:  # else a query that began after this request has answered for it
                    await anyio.sleep_until(self._loaded + _PAUSE_SECONDS)
                    self._loaded = anyio.current_time()
                    self._answers = await self._look_up()
        return self._answers.get(token)


async def no_challenges() -> Mapping[str, str]:
    return {}
