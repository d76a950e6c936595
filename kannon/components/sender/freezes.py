"""Whether this process stood still for so long that other senders may have its envelopes (SIGSTOP, a suspended machine,
a blocked event loop).

In: a clock that also runs while the machine is suspended. Out: how often it happened so far. Heartbeats to NATS stand
still too, and after the ack wait NATS delivers the envelopes in work to other senders, who ask this one and get no
answer.
"""

import time
from collections.abc import Callable
from typing import Final

import anyio
import structlog

from kannon.bus.streams import ACK_WAIT_SECONDS, HEARTBEAT_SECONDS

FROZEN_SECONDS: Final = ACK_WAIT_SECONDS - HEARTBEAT_SECONDS - 1.0
"""The last heartbeat may be so much older, and the look-out for freezes a second."""
LOOK_SECONDS: Final = 1.0
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
log = structlog.get_logger()


def boot_clock() -> float:
    return time.clock_gettime(_CLOCK)


class FreezeWatch:
    def __init__(self, clock: Callable[[], float] = boot_clock) -> None:
        self._clock = clock
        self._awake_at = clock()
        self._count = 0

    def count(self) -> int:
        """Cheap, for it is read before each final dot: the first reader after a freeze learns of it."""
        now = self._clock()
        if now - self._awake_at > FROZEN_SECONDS:
            self._count += 1
            log.warning(
                "this process was frozen; mails without their final dot are returned", seconds=now - self._awake_at
            )
        self._awake_at = now
        return self._count

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.count()
            await anyio.sleep(LOOK_SECONDS)
