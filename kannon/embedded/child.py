"""One child process that cannot outlive this one: spawn, wait, stop.

In: an argument list, a working directory, a user to run as, a log file. Out: a running `Child`.
The kernel sends the child its death signal when this process ends, however it ends (PR_SET_PDEATHSIG). The signal
belongs to the *thread* that forked, so the event loop's own thread spawns the children, never a worker thread.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from kannon.embedded.run_as import RunAs
from kannon.errors import OperatorError

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_KEEPCAPS: Final = 8
_PR_SET_SECUREBITS: Final = 28
_SECBIT_NO_SETUID_FIXUP: Final = 1 << 2
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAPABILITY_VERSION_3: Final = 0x20080522
_POLL_SECONDS: Final = 0.1

# Loaded before any fork: the child must not import.
_libc = ctypes.CDLL(None, use_errno=True)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@dataclass(frozen=True)
class ProcessSpec:
    """`argv[0]` is an absolute path; output is appended to `log`.

    `stdin` is the child's whole standard input, at most a pipe's capacity (64 KiB). The child gets a new environment.
    `source` and `target` are open files for standard input and output instead, which the child itself may not reach.
    `preload` is a library whose functions replace those of all others (ld.so(8)).
    """

    argv: Sequence[str]
    directory: Path
    log: Path
    run_as: RunAs | None = None
    death_signal: signal.Signals = signal.SIGTERM
    stdin: bytes = b""
    source: int | None = None
    target: int | None = None
    preload: Path | None = None


class Child:
    """A started child. Its holder stops it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Returns the exit code (negative: the signal) once the child has ended. Several tasks may wait."""
        await wait_gone(self.pid, self.ended)
        return self._process.wait()

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Sends each signal in turn, waits for the step's seconds, and ends with SIGKILL. A cancellation does not
        shorten it."""
        with anyio.CancelScope(shield=True):
            for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
                if self.ended():
                    return
                self._process.send_signal(number)
                with anyio.move_on_after(seconds):
                    await self.wait()

    def terminate(self) -> None:
        """Sends SIGTERM and does not wait."""
        self._process.terminate()

    def ended(self) -> bool:
        """Does not wait."""
        return self._process.poll() is not None

    def describe_end(self) -> str:
        """How it ended, for a log line; call it only afterwards."""
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def spawn(spec: ProcessSpec) -> Child:
    """Starts the child; its exec has succeeded when this returns. Call it in the thread of the event loop.

    Raises OperatorError if it cannot be started.
    """
    log = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    stdin, feed = os.pipe()
    os.write(feed, spec.stdin)
    os.close(feed)
    try:
        process = subprocess.Popen(
            spec.argv,
            cwd=spec.directory,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"} | ({"LD_PRELOAD": str(spec.preload)} if spec.preload else {}),
            stdin=stdin if spec.source is None else spec.source,
            stdout=log if spec.target is None else spec.target,
            stderr=log,
            # A terminal's Ctrl-C reaches the whole foreground group; this process stops its children itself, and last.
            process_group=0,
            preexec_fn=prepare(spec.run_as, spec.death_signal),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OperatorError(f"{spec.argv[0]} cannot be started: {error}") from None
    finally:
        os.close(log)
        os.close(stdin)
    return Child(process)


async def wait_gone(pid: int, gone: Callable[[], bool]) -> None:
    """Waits until `gone()`, checked at the end of process `pid`, which need not be a child of this process."""
    while not gone():
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:  # the seccomp filter of an old container runtime
            await anyio.sleep(_POLL_SECONDS)
            continue
        try:
            await anyio.wait_readable(watch)
        finally:
            os.close(watch)


def prepare(run_as: RunAs | None, death_signal: signal.Signals) -> Callable[[], None]:
    """The `preexec_fn` of a child; prepared before the fork, so that it makes system calls only."""
    parent = os.getpid()
    header, data = _CapHeader(_CAPABILITY_VERSION_3, 0), (_CapData * 2)()

    def in_child() -> None:
        if run_as is not None:
            if run_as.capability is not None:
                # initdb calls access(2), which otherwise ignores the capabilities of all users but root. Where root may
                # not set this, the capability still suffices for everything else.
                _libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
                _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
            os.setgroups([])
            os.setresgid(run_as.gid, run_as.gid, run_as.gid)
            os.setresuid(run_as.uid, run_as.uid, run_as.uid)
            if run_as.capability is not None:
                bit = 1 << run_as.capability
                data[0].effective = data[0].permitted = data[0].inheritable = bit
                _check(_libc.capset(ctypes.byref(header), data))
                _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, run_as.capability, 0, 0))
        # prctl(2): a change of user clears it, so it comes last; the parent may have died before it.
        _check(_libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "prctl")
