"""Waits for a condition that another process or task fulfils; fails after the test's patience."""

from collections.abc import Callable

import anyio

from tests.support.patience import patience


async def eventually(condition: Callable[[], bool]) -> None:
    """Returns as soon as `condition()` holds."""
    with patience():
        while not condition():  # the condition lives in another process or in plain attributes
            await anyio.sleep(0.005)
