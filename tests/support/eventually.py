"""Waiting for what happens elsewhere: as short as it takes, and a failure when it does not come."""

from collections.abc import Callable

import anyio


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Returns as soon as `condition()` holds."""
    with anyio.fail_after(seconds):
        while not condition():  # the condition lives in another process or in plain attributes
            await anyio.sleep(0.005)
