"""A copy of this machine that a test may change: an overlay over its root file system, gone when the test is.

In: a command. Out: what it said, run in the copy as root with no KANNON_ variable. Nothing it does is seen outside, but
for the network, which is shared. `machine` has no systemd running, `booted_machine` has one of its own, with no other
service than those that it needs itself. Needs root, and a kernel that mounts overlays in a namespace.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_COPY = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
"""
_HOLD = """
echo ready
exec sleep infinity
"""
# The machine's own services are not wanted, and what systemd logs is read with journalctl.
_BOOT = """
mount -t tmpfs tmpfs "$1/root/tmp"
mount -t sysfs sysfs "$1/root/sys"
mount -t cgroup2 cgroup2 "$1/root/sys/fs/cgroup"
rm -rf "$1/root/etc/systemd/system"
mkdir "$1/root/etc/systemd/system"
: > "$1/root/etc/fstab"
: > "$1/root/etc/machine-id"
echo ready
exec chroot "$1/root" env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
    --system --unit=multi-user.target --show-status=0 --log-target=journal 1>&2
"""
_BOOT_SECONDS = 60


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """`pid` is a process in its namespaces, `root` where they have its root."""

    pid: int
    root: Path
    namespaces: tuple[str, ...] = ("--mount",)

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
        enter = ["nsenter", *self.namespaces, f"--target={self.pid}", "chroot", str(self.root)]
        return [*enter, *map(str, command)]

    def sh(self, script: str) -> str:
        return self.must("sh", "-ec", script)


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C", **(env or {})}


@contextmanager
def machine(place: Path) -> Iterator[Machine]:
    with _holder(place, _COPY + _HOLD, "--mount") as holder:
        yield Machine(holder.pid, place / "root")


@contextmanager
def booted_machine(place: Path) -> Iterator[Machine]:
    namespaces = ("--mount", "--pid", "--cgroup", "--ipc", "--uts")
    with _holder(place, _COPY + _BOOT, *namespaces, "--fork", "--kill-child") as holder:
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        copy = Machine(int(children[0]), place / "root", namespaces)
        state = ""
        for _ in range(_BOOT_SECONDS * 10):
            # Until its bus is there it answers "offline"; --wait then returns when the boot is over.
            state = copy.run("timeout", str(_BOOT_SECONDS), "systemctl", "is-system-running", "--wait").out.strip()
            if state not in ("", "offline"):
                break
            copy.run("sleep", "0.1")
        assert state == "running", f"systemd is {state}: {copy.run('systemctl', '--failed', '--no-pager').out}"
        yield copy


@contextmanager
def _holder(place: Path, script: str, *namespaces: str) -> "Iterator[subprocess.Popen[str]]":
    """A process that holds the namespaces, and with them everything in there."""
    place.mkdir()
    setup = ["unshare", *namespaces, "--propagation", "private", "sh", "-ec", script, "sh", str(place)]
    with subprocess.Popen(setup, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n", "this machine does not mount overlays"
            yield holder
        finally:
            holder.kill()
