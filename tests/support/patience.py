"""How long a test waits. Even an overloaded machine is faster than this.

It measures nothing: a test about time controls the clock, counts processor seconds, or sets the time-out that it tests.
"""

from contextlib import AbstractContextManager

import anyio

PATIENCE_SECONDS = 120.0


def patience() -> AbstractContextManager[anyio.CancelScope]:
    """TimeoutError if the block takes longer."""
    return anyio.fail_after(PATIENCE_SECONDS)
