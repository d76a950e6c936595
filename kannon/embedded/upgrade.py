"""PostgreSQL's data on disk: of which major version it is, whether a server on it is ready, and how it is brought over.

A new major version cannot read an old one's data: the old one's own programs serve it once more while it is dumped,
and it is restored into a new cluster. In: two clusters, of which the old one holds the data and the new one is empty;
neither runs. Out: the new one in the old one's place, by one exchange of names; the old one beside it, untouched, and
the dump in data_dir/backups. Whatever fails before the exchange leaves the old data where it was (OperatorError).
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
from kannon.embedded.child import Child, Plan, spawn
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
    account: RunAs | None

    def backups(self, tools: Path) -> Backups:
        return Backups(self.home.parent, tools, self.home.name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With its own settings as initdb wrote them: ours may hold some that an old version does not know."""
        argv = [str(self.bin / "postgres"), "-D", str(self.home)]
        argv += ["-c", "listen_addresses=", "-c", "unix_socket_directories=.", "-c", "unix_socket_permissions=0700"]
        start = logfile.begin(self.log)
        child = spawn(Plan(argv, self.home.parent, self.log, self.account, signal.SIGQUIT))
        try:
            with anyio.move_on_after(_START_SECONDS):
                await self._until_ready(child)
            if not is_ready(self.home, child.pid) or child.ended():
                raise OperatorError(f"{self.home} cannot be started: {logfile.last_problem(self.log, start)}")
            yield
        finally:
            await child.stop(_STOP_STEPS)

    async def _until_ready(self, child: Child) -> None:
        while not (child.ended() or is_ready(self.home, child.pid)):  # noqa: ASYNC110 - a file says so, no event
            await anyio.sleep(_POLL_SECONDS)


def data_major(home: Path) -> int:
    """Raises OperatorError."""
    try:
        return int((home / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        raise OperatorError(f"{home} is there, but holds no PostgreSQL data (PG_VERSION is missing)") from None


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


async def bring_over(old: Cluster, new: Cluster, *, keep_as: Path) -> None:
    """Raises OperatorError, with the old data in its place."""
    if keep_as.exists():
        raise OperatorError(f"{keep_as} is in the way of bringing {old.home} over: move it away")
    log.info("bringing data over to a new PostgreSQL", old=str(old.bin), new=str(new.bin))
    async with old.running():
        file = await old.backups(new.bin).keep(keep_as.name, clock=partial(datetime.now, UTC))
    async with new.running():
        await new.backups(new.bin).read(file, database="kannon")
    # The old cluster is never without its name: a crash here leaves one or the other in place.
    _exchange(old.home, new.home)
    new.home.rename(keep_as)
    sync_directory(old.home.parent)
    log.warning("the data of the old PostgreSQL may be deleted", folder=str(keep_as))


def _exchange(one: Path, other: Path) -> None:
    arguments = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if _libc.renameat2(*arguments) != 0:
        raise OperatorError(f"{one} cannot be exchanged with {other}: {os.strerror(ctypes.get_errno())}")
