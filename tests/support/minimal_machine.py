"""A machine that has only the C library, a shell and the kernel's devices.

In: the C library of this process. Out: a root folder that holds it, entered under a user id without an account. The
test sees its folders from outside; the network is shared. Skips the test where namespaces are refused, as machine.py
does.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.machine import Machine, held

USER = 12345
C_LIBRARY = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2", "libutil.so.1"),
    *("libnss_files.so.2", "libnss_dns.so.2"),
)
_SETUP = """
cd "$1/root"
mount -t proc proc proc
mount -t tmpfs tmpfs dev
mkdir dev/shm
chmod 1777 dev/shm
for name in null zero random urandom; do
    : > dev/$name
    mount --bind /dev/$name dev/$name
done
echo $$
exec cat
"""


@contextmanager
def minimal_machine(place: Path) -> Iterator[Machine]:
    """`/data` belongs to the user, every user can write `/tmp` and `/var/tmp`; no user has a name."""
    root = place / "root"
    for folder in ("dev", "proc", "bin", "data", "tmp", "var/tmp"):
        (root / folder).mkdir(parents=True)
    for folder in ("tmp", "var/tmp"):
        (root / folder).chmod(0o1777)
    os.chown(root / "data", USER, USER)
    for library in (*_libraries(), *loaders()):
        _copy(library, root)
    shutil.copy2("/bin/sh", root / "bin" / "sh")
    with held(place, _SETUP) as first:
        yield Machine(first, root, as_user=(f"--userspec={USER}:{USER}", "--groups="))


def loaders() -> list[Path]:
    """The paths of ld.so that programs name as their interpreter."""
    return [*Path("/lib64").glob("ld-linux*"), *Path("/lib").glob("ld-linux*")]


def _libraries() -> list[Path]:
    maps = Path("/proc/self/maps").read_text().split()
    folder = next(Path(word) for word in maps if word.endswith("/libc.so.6")).parent
    return [folder / name for name in C_LIBRARY if (folder / name).exists()]


def _copy(file: Path, root: Path) -> None:
    target = root / file.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)
