"""One child process that cannot outlive this one: spawn, wait, stop.

In: an argument list, a working directory, an account, a log file. Out: a running `Child`.
The kernel sends the child its death signal when this process ends, however it ends (PR_SET_PDEATHSIG). The signal is
tied to the *thread* that forked, so children are spawned from the event loop's own thread, never from a worker thread.
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
class Plan:
    """What to start: `argv[0]` is an absolute path; output is appended to `log`.

    `stdin` is all the child reads there, at most a pipe's capacity (64 KiB). Nothing of our environment is passed on.
    `source` and `target` are open files to read from and write to instead, which the child itself might not reach.
    `preload` is a library whose functions go before those of all others (ld.so(8)).
    """

    argv: Sequence[str]
    directory: Path
    log: Path
    account: RunAs | None = None
    death_signal: signal.Signals = signal.SIGTERM
    stdin: bytes = b""
    source: int | None = None
    target: int | None = None
    preload: Path | None = None


class Child:
    """A started child. Whoever holds it also stops it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Returns the exit code (negative: the signal) once the child has ended. May be called by several at once."""
        await wait_gone(self.pid, self.ended)
        return self._process.wait()

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Sends each signal in turn, waits as long as its step says, ends with SIGKILL. Not cut short by cancelling."""
        with anyio.CancelScope(shield=True):
            for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
                if self.ended():
                    return
                self._process.send_signal(number)
                with anyio.move_on_after(seconds):
                    await self.wait()

    def ended(self) -> bool:
        """Whether it has; never waits."""
        return self._process.poll() is not None

    def describe_end(self) -> str:
        """How it ended, for a log line; only after it has."""
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def spawn(plan: Plan) -> Child:
    """Starts the child; it has been exec'ed when this returns. Must be called in the thread of the event loop.

    Raises OperatorError if it cannot be started.
    """
    log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    stdin, feed = os.pipe()
    os.write(feed, plan.stdin)
    os.close(feed)
    try:
        process = subprocess.Popen(
            plan.argv,
            cwd=plan.directory,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"} | ({"LD_PRELOAD": str(plan.preload)} if plan.preload else {}),
            stdin=stdin if plan.source is None else plan.source,
            stdout=log if plan.target is None else plan.target,
            stderr=log,
            # A terminal's Ctrl-C reaches the whole foreground group; the children are stopped by us, and last.
            process_group=0,
            preexec_fn=prepare(plan.account, plan.death_signal),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OperatorError(f"{plan.argv[0]} cannot be started: {error}") from None
    finally:
        os.close(log)
        os.close(stdin)
    return Child(process)


async def wait_gone(pid: int, gone: Callable[[], bool]) -> None:
    """Waits until `gone()`, woken by the end of process `pid`, which need not be a child of ours."""
    while not gone():
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:  # the filter of an old container runtime
            await anyio.sleep(_POLL_SECONDS)
            continue
        try:
            await anyio.wait_readable(watch)
        finally:
            os.close(watch)


def prepare(account: RunAs | None, death_signal: signal.Signals) -> Callable[[], None]:
    """What the forked child does before exec (`preexec_fn`), built beforehand so that it only makes system calls."""
    parent = os.getpid()
    header, data = _CapHeader(_CAPABILITY_VERSION_3, 0), (_CapData * 2)()

    def in_child() -> None:
        if account is not None:
            if account.capability is not None:
                # initdb asks access(2), which otherwise disregards the capabilities of all but root. Where root may not
                # set this, the capability still suffices for everything else.
                _libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
                _check(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
            os.setgroups([])
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
            if account.capability is not None:
                bit = 1 << account.capability
                data[0].effective = data[0].permitted = data[0].inheritable = bit
                _check(_libc.capset(ctypes.byref(header), data))
                _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, account.capability, 0, 0))
        # prctl(2): a change of user clears it, so it comes last; the parent may have died before it.
        _check(_libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "prctl")
