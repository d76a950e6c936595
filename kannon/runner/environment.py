"""What tests replace: clock, randomness, signals, exit; and who is told the state of the process."""

import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import anyio


class Clock(Protocol):
    """A clock that tests can replace."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class EventLoopClock:
    """The event loop's monotonic time."""

    def now(self) -> float:
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class Notifier(Protocol):
    """Who is told the state of the process: systemd, or the process that started this one. See kannon.systemd."""

    @property
    def watchdog_seconds(self) -> float | None: ...
    def notify(self, **fields: str | int) -> None: ...


def receive_signals() -> AbstractContextManager[AsyncIterator[signal.Signals]]:
    """Receives SIGTERM and SIGINT. While the context is open they have no other effect."""
    return anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Environment:
    """Clock, randomness, signals and exit, which tests replace."""

    clock: Clock = field(default_factory=EventLoopClock)
    jitter: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    signals: Callable[[], AbstractContextManager[AsyncIterator[signal.Signals]]] = receive_signals
    abort: Callable[[int], object] = os._exit
