"""PostgreSQL's data on disk: its major version, whether a server on it is ready, and its upgrade.

A new major version cannot read an old one's data: the old version's programs serve it once more for a backup, which is
restored into a new cluster. In: two clusters, of which the old one holds the data and the new one is empty; neither
runs. Out: one rename exchanges them; the old cluster stays beside the new one, unchanged, and the backup in
data_dir/backups. A failure before the exchange leaves the old data in its place (OperatorError).
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import structlog

from kannon.embedded import logfile
from kannon.embedded.backup import Backups
from kannon.embedded.child import Child, ProcessSpec, spawn
from kannon.embedded.data_dir import sync_directory
from kannon.embedded.run_as import RunAs
from kannon.errors import OperatorError

log = structlog.get_logger()

_START_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02
_STOP_STEPS: Final = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Cluster:
    """Data in `home`, a folder of data_dir, and the programs of its major version in `bin`."""

    home: Path
    bin: Path
    log: Path
    run_as: RunAs | None

    def backups(self, tools: Path) -> Backups:
        return Backups(self.home.parent, tools, self.home.name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With the settings that initdb wrote: Kannon's may contain some that an old version does not support."""
        argv = [str(self.bin / "postgres"), "-D", str(self.home)]
        argv += ["-c", "listen_addresses=", "-c", "unix_socket_directories=.", "-c", "unix_socket_permissions=0700"]
        start = logfile.begin(self.log)
        child = spawn(ProcessSpec(argv, self.home.parent, self.log, self.run_as, signal.SIGQUIT))
        try:
            with anyio.move_on_after(_START_SECONDS):
                await self._until_ready(child)
            if not is_ready(self.home, child.pid) or child.ended():
                raise OperatorError(f"{self.home} cannot be started: {logfile.last_problem(self.log, start)}")
            yield
        finally:
            await child.stop(_STOP_STEPS)

    async def _until_ready(self, child: Child) -> None:
        while not (child.ended() or is_ready(self.home, child.pid)):  # noqa: ASYNC110 - a file shows it, no event
            await anyio.sleep(_POLL_SECONDS)


def data_major(home: Path) -> int:
    """Raises OperatorError."""
    try:
        return int((home / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        raise OperatorError(
            f"{home} exists, but holds no PostgreSQL data (PG_VERSION is missing): move it away"
        ) from None


def program_major(bin_: Path) -> int:
    command = [str(bin_ / "postgres"), "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout
    return int(version.split()[2].split(".")[0])


def is_ready(home: Path, pid: int) -> bool:
    """Reads the status line that the server keeps in its pid file, as pg_ctl does."""
    try:
        lines = (home / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    # The eighth line, padded: LOCK_FILE_LINE_PM_STATUS in PostgreSQL's miscadmin.h.
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


async def upgrade(old: Cluster, new: Cluster, *, old_home: Path) -> None:
    """Raises OperatorError, with the old data in its place."""
    if old_home.exists():
        raise OperatorError(f"{old.home} cannot be upgraded: {old_home} exists already; move it away")
    log.info("upgrading PostgreSQL's data", old=str(old.bin), new=str(new.bin))
    async with old.running():
        file = await old.backups(new.bin).write_rotated(old_home.name, clock=partial(datetime.now, UTC))
    async with new.running():
        await new.backups(new.bin).read(file, database="kannon")
    # One atomic exchange: after a crash here the old or the new cluster is in place.
    _exchange(old.home, new.home)
    new.home.rename(old_home)
    sync_directory(old.home.parent)
    log.warning("PostgreSQL's data upgraded; the old data may be deleted", folder=str(old_home))


def _exchange(one: Path, other: Path) -> None:
    arguments = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if _libc.renameat2(*arguments) != 0:
        raise OperatorError(f"{one} cannot be exchanged with {other}: {os.strerror(ctypes.get_errno())}")
