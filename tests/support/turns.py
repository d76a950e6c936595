"""Tests run side by side, but for those that measure time (`@pytest.mark.alone`): beside one of them runs no other.

In: a folder that all processes of one test run share. Whoever is alone waits for those that run, and nobody begins
meanwhile: the door is closed behind it.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    with (folder / "door").open("w") as door, (folder / "room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(door, fcntl.LOCK_UN)
        yield
