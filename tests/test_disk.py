"""The watch over free space, on a file system of its own and against the one of the tests."""

from pathlib import Path

import anyio
import pytest

from kannon.disk import DiskWatch
from kannon.errors import DiskLow
from tests.support.eventually import eventually
from tests.support.mounts import fill, needs_root, tmpfs


@needs_root
async def test_sends_are_refused_while_the_disk_is_low(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    stop = anyio.Event()
    with tmpfs(place, "size=4m"):
        watch = DiskWatch(place, "5%")
        watch.check()  # before the first reading nothing is refused
        async with anyio.create_task_group() as group:
            await group.start(watch.run, stop)
            watch.check()
            fill(place / "filler")
            await eventually(lambda: watch.usage is not None and watch.usage.free == 0)
            with pytest.raises(DiskLow, match=r"0 MiB are free, and disk\.reserve \(5%\)"):
                watch.check()
            (place / "filler").unlink()
            await eventually(lambda: watch.usage is not None and watch.usage.free > watch.usage.reserve)
            watch.check()
            stop.set()


async def test_no_reserve_never_refuses(tmp_path: Path) -> None:
    stop = anyio.Event()
    watch = DiskWatch(tmp_path, "0B")
    async with anyio.create_task_group() as group:
        await group.start(watch.run, stop)
        stop.set()
    assert watch.usage is not None
    assert watch.usage.reserve == 0
    watch.check()
