"""A small file system of a campaign's own: it can fill up, and it can lose its power.

In: a folder to mount at. Out: `fill`, `free`, `cut`. An ext4 image on a loop device where root may mount one, else a
tmpfs, which cannot lose its power, else the folder itself, which can do neither.

A power cut is ext4's own shutdown (as xfstests' `godown` uses it): from then on nothing is written, and the journal is
not flushed. The next mount finds what had been synced, and what the kernel had written back by itself.
"""

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.mounts import fill

SIZE = "700m"
UNMOUNT_SECONDS = 10.0
_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2


class Disk:
    """`kind` is "image", "tmpfs" or "folder"."""

    def __init__(self, place: Path, kind: str) -> None:
        self.place = place
        self.kind = kind
        self._image = place.with_suffix(".img")

    @property
    def can_fill(self) -> bool:
        return self.kind != "folder"

    @property
    def can_cut(self) -> bool:
        return self.kind == "image"

    def fill(self) -> None:
        fill(self.place / "filler")

    def free(self) -> None:
        (self.place / "filler").unlink(missing_ok=True)

    def cut(self) -> None:
        """The power fails. All processes that use the disk have to be killed before `restore`."""
        handle = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(handle)

    def restore(self) -> None:
        """The power is back: the journal is replayed."""
        self.unmount()
        self.mount()

    def mount(self) -> bool:
        if self.kind == "image":
            if not self._image.exists():
                _run("truncate", "-s", SIZE, str(self._image))
                # Nothing is written in the background later: the cut finds Kannon's writes only.
                _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))
            done = _run("mount", "-o", "loop", str(self._image), str(self.place))
        elif self.kind == "tmpfs":
            done = _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.place))
        else:
            done = True
        if done:
            self.place.chmod(0o711)
        return done

    def unmount(self) -> None:
        if self.kind != "folder":
            deadline = time.monotonic() + UNMOUNT_SECONDS
            while not _run("umount", str(self.place)):
                if time.monotonic() > deadline:  # a process holds it
                    _run("umount", "--lazy", str(self.place))
                    return
                time.sleep(0.1)


@contextmanager
def mounted_disk(place: Path) -> Iterator[Disk]:
    """Unmounted at the end, also after a crash of the block."""
    place.mkdir()
    for kind in ("image", "tmpfs", "folder") if os.geteuid() == 0 else ("folder",):
        disk = Disk(place, kind)
        if disk.mount():
            break
    try:
        yield disk
    finally:
        disk.unmount()


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
