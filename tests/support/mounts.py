"""Small file systems that are full or mounted noexec. Needs root and the right to mount."""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems and becomes other users")

_MS_NOEXEC = 8
_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def tmpfs(place: Path, options: str) -> Iterator[None]:
    """`options`: `noexec`, or `size=…`."""
    flags, data = (_MS_NOEXEC, "") if options == "noexec" else (0, options)
    if _libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, data.encode()) != 0:
        if ctypes.get_errno() == errno.EPERM:
            pytest.skip("root may not mount file systems here")
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(place))
    try:
        yield
    finally:
        _libc.umount2(os.fsencode(place), _MNT_DETACH)


def fill(file: Path) -> None:
    """Writes until nothing more fits on the file system."""
    with file.open("wb", buffering=0) as sink:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while True:
                    sink.write(bytes(size))
