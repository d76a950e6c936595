"""How long a test waits for what is to come. A machine with ten times the work it can do is not that slow.

Nothing is measured by it: a test that is about time owns the clock, counts seconds of the processor, or sets the one
time-out that it is about.
"""

from contextlib import AbstractContextManager

import anyio

PATIENCE_SECONDS = 120.0


def patience() -> AbstractContextManager[anyio.CancelScope]:
    """TimeoutError if the block is not done by then."""
    return anyio.fail_after(PATIENCE_SECONDS)
