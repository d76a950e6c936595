"""A copy of this machine that a test may change: an overlay over its root file system, removed after the test.

In: a command, files. Out: the output of the command, which runs in the copy as root without KANNON_ variables.
`machine` runs no systemd and shares the network; `booted_machine` has its own systemd, network and control group, and
only systemd's services. Only the root file system is copied: a test adds its own files with `put`. Where the kernel
refuses the copy (no root, overlays, namespaces or cgroup2), the test is skipped and names the refusal.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.support.patience import PATIENCE_SECONDS

_COPY = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root" "$1/groups"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
mount -t tmpfs tmpfs "$1/root/run"
# Otherwise each installed package would index all manual pages again.
rm -f "$1/root/var/lib/man-db/auto-update"
"""
# The copy ends when its standard input is closed, however the test ends.
_HOLD = """
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
echo $$
exec cat
"""
# The copy has its own control group and sees it as the root: systemd cleans up inside, and two such tests do not see
# each other. The script kills process 1 by its number outside, which ends every process in the namespaces.
_BOOT = """
[ -x /lib/systemd/systemd ] || { echo "there is no systemd" >&2; exit 1; }
mount -t cgroup2 cgroup2 "$1/groups"
group="$1/groups$(sed -n 's/^0:://p' /proc/self/cgroup)/kannon-test-$$"
mkdir "$group"
sh -ec 'echo 0 > "$3/cgroup.procs"; exec unshare --pid --cgroup --ipc --uts --net --fork sh -ec "$2" sh "$1"' \\
    sh "$1" "$2" "$group" &
exec >/dev/null
cat
[ ! -e "$1/first" ] || kill -KILL "$(cat "$1/first")" || true
wait || true
find "$group" -depth -type d -exec rmdir {} +
"""
# Kernel settings are read-only, and loading modules and setting the clock is not possible: systemd would change them
# for the whole machine. The copy has only harmless devices. It boots to basic.target, without the machine's services
# and without a terminal on its console. Mounts are shared, because systemd needs that to pass credentials.
_FIRST = """
read -r first rest < /proc/self/stat
echo "$first" > "$1/first"
cd "$1/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs dev
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for name in null zero full random urandom tty; do
    : > dev/$name
    mount --bind /dev/$name dev/$name
done
rm -rf etc/systemd/system var/log/journal
mkdir etc/systemd/system
: > etc/fstab
: > etc/machine-id
mount --make-rshared .
echo "$first"
exec setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time chroot . \\
    env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --system --unit=basic.target --show-status=0 --log-target=journal >/dev/null
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """`pid` is a process in its namespaces, `root` the path of its root; `as_user` are options of chroot(1)."""

    pid: int
    root: Path
    namespaces: tuple[str, ...] = ("--mount",)
    as_user: tuple[str, ...] = ()

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None) -> Result:
        done = subprocess.run(self.command(*command), env=_environment(env), capture_output=True, text=True)
        return Result(done.returncode, done.stdout, done.stderr)

    def must(self, *command: str | Path, env: Mapping[str, str] | None = None) -> str:
        """The standard output; AssertionError with all output if the command fails."""
        result = self.run(*command, env=env)
        assert result.code == 0, f"{command}: {result}"
        return result.out

    def command(self, *command: str | Path) -> list[str]:
        """The command line, for a test that starts the process itself."""
        enter = ["nsenter", *self.namespaces, f"--target={self.pid}", "chroot", *self.as_user, str(self.root)]
        return [*enter, *map(str, command)]

    def sh(self, script: str) -> str:
        return self.must("sh", "-ec", script)

    def put(self, file: Path, target: str) -> None:
        """Copies a file from outside, with its mode."""
        script = 'mkdir -p "${1%/*}"; cat > "$1"; chmod "$2" "$1"'
        with file.open("rb") as content:
            self._feed(content, "sh", "-ec", script, "sh", target, f"{file.stat().st_mode & 0o7777:o}")

    def put_folder(self, folder: Path, target: str) -> None:
        """Copies a folder from outside."""
        pack = ["tar", "--create", f"--directory={folder}", "."]
        self.must("mkdir", "-p", target)
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
            assert packing.stdout is not None
            self._feed(packing.stdout, "tar", "--extract", "--no-same-owner", f"--directory={target}")
        assert packing.returncode == 0

    def _feed(self, content: IO[bytes], *command: str) -> None:
        subprocess.run(self.command(*command), env=_environment(None), stdin=content, check=True)


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C", **(env or {})}


@contextmanager
def machine(place: Path) -> Iterator[Machine]:
    with held(place, _COPY + _HOLD) as first:
        yield Machine(first, place / "root")


@contextmanager
def booted_machine(place: Path) -> Iterator[Machine]:
    with held(place, _COPY + _BOOT, _FIRST) as first:
        copy = Machine(first, place / "root", ("--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net"))
        deadline = time.monotonic() + PATIENCE_SECONDS
        # "degraded" is a unit of the machine's distribution that does not run in here.
        while (state := copy.run("systemctl", "is-system-running").out.strip()) not in ("running", "degraded"):
            assert time.monotonic() < deadline, f"systemd is {state or 'not there'}"
            time.sleep(0.05)
        yield copy


@contextmanager
def held(place: Path, *scripts: str) -> Iterator[int]:
    """Yields the pid that the first script prints. All processes have ended afterwards."""
    place.mkdir(exist_ok=True)
    complaints = place.with_name(f"{place.name}-complaints")
    script, *others = scripts
    setup = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", str(place), *others]
    with (
        complaints.open("wb") as errors,
        subprocess.Popen(setup, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as holder,
    ):
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            first = holder.stdout.readline()
            if not first:
                last = complaints.read_text().strip().rpartition("\n")[2]
                pytest.skip(f"no copy of this machine can be made: {last}")
            yield int(first)
        finally:
            holder.stdin.close()
