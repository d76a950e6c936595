"""The wait before a component, or a process, is started again."""

from collections.abc import Callable
from typing import Final

HEALTHY_SECONDS: Final = 60.0
FIRST_DELAY_SECONDS: Final = 1.0
MAX_DELAY_SECONDS: Final = 30.0
MAX_DEPENDENCY_DELAY_SECONDS: Final = 2.0


class Backoff:
    """The wait before each restart: doubles from 1 s to 30 s, less up to half by jitter."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._next_seconds = FIRST_DELAY_SECONDS

    def delay(self, healthy_seconds: float, *, dependency: bool = False) -> float:
        """Seconds to wait after a failure. `healthy_seconds`: how long the component was ready before it.

        With `dependency` the failure is an unavailable server. The wait stays at a few seconds, so that the component
        starts soon after the server returns.
        """
        if healthy_seconds >= HEALTHY_SECONDS:
            self._next_seconds = FIRST_DELAY_SECONDS
        limit = MAX_DEPENDENCY_DELAY_SECONDS if dependency else MAX_DELAY_SECONDS
        full = min(self._next_seconds, limit)
        self._next_seconds = min(full * 2, limit)
        return full * (0.5 + 0.5 * self._jitter())
