"""A copy of this machine that a test may change: an overlay over its root file system, gone when the test is.

In: a command. Out: what it said, run in the copy as root with no KANNON_ variable. Nothing it does is seen outside, and
no systemd runs in it. Needs root, and a kernel that mounts overlays in a mount namespace of its own.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SETUP = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
echo ready
exec sleep infinity
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """`root` is where the copy's root lies, for processes that are in its namespace."""

    pid: int
    root: Path

    def run(self, *command: str | Path, env: Mapping[str, str] | None = None) -> Result:
        done = subprocess.run(self.command(*command), env=_environment(env), capture_output=True, text=True)
        return Result(done.returncode, done.stdout, done.stderr)

    def must(self, *command: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Its standard output; AssertionError with all it said unless it succeeds."""
        result = self.run(*command, env=env)
        assert result.code == 0, f"{command}: {result}"
        return result.out

    def command(self, *command: str | Path) -> list[str]:
        """The same for whoever starts it differently."""
        enter = ["nsenter", "--mount", f"--target={self.pid}", "chroot", str(self.root)]
        return [*enter, *map(str, command)]

    def sh(self, script: str) -> str:
        return self.must("sh", "-ec", script)

    def write(self, file: str, text: str) -> None:
        self.must("sh", "-ec", f'printf %s "$1" > {file}', "sh", text)


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C", **(env or {})}


@contextmanager
def machine(place: Path) -> Iterator[Machine]:
    place.mkdir()
    setup = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _SETUP, "sh", str(place)]
    with subprocess.Popen(setup, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n", "this machine does not mount overlays"
            yield Machine(holder.pid, place / "root")
        finally:
            holder.kill()


def processes_of(user_id: int) -> list[int]:
    """Those that run as this user, on the whole machine."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and entry.stat().st_uid == user_id:
                found.append(int(entry.name))
        except OSError:
            continue
    return found
